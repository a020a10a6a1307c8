# SPDX-License-Identifier: Apache-2.0
#
# make          the C library, static and shared
# make demo     an unmodified Ansible on actor threads, compared with the same on fork
# make test     everything that is tested
# make help     all targets
#
# Variables
#   CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR   as everywhere
#   WERROR=1     warnings are errors; implied by CI=true
#   V=1          show whole commands
#   VARIANT      the folder of build/ to build in: plain, asan, tsan, sim and sim-asan, which have
#                flags of their own, or any other name, to keep a build with your flags apart
#   PYTHONS      for test-upstream: environments of .venv; all by default
#   MODES        for test-upstream: of fork, spawn, forkserver, actor, futures, no-processes, no-processes-futures
#   ENV=2.14     the Python environment for the demo; ARGS are arguments for it, such as "-f 50"

ifneq ($(origin ENV),command line) # the environment may hold an ENV that is not ours
  ENV := newest
endif
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
VARIANT ?= plain
OUT := build/$(VARIANT)
VERSION := $(shell sed -n 's/^.define FKL_VERSION "\(.*\)"/\1/p' include/forkless/base.h)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

.PHONY: all programs simulations fuzzers man deps demo test test-runtime test-mutants test-python \
  test-ansible test-upstream test-scale compatibility models fuzz sim asan tsan tsan-python lint \
  format bench bench-ansible bench-runtime bench-python install clean help
.DELETE_ON_ERROR:
.SECONDARY: # keep the objects of programs

all: $(OUT)/libforkless.a $(OUT)/libforkless.so ## build the C library, static and shared

# -- Flags ------------------------------------------------------------------------------------

MSGPACK := $(shell pkg-config --exists msgpack-c 2>/dev/null && echo msgpack-c || echo msgpack)
DEP_CFLAGS := $(shell pkg-config --cflags ck $(MSGPACK) 2>/dev/null)
DEP_LIBS := $(shell pkg-config --libs ck $(MSGPACK) 2>/dev/null)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
  -Wpointer-arith -Wwrite-strings -Wcast-align -Wcast-qual -Wundef -Wvla -Wformat=2 \
  -Wimplicit-fallthrough $(if $(WERROR)$(filter true,$(CI)),-Werror)

SANITIZE_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SANITIZE_tsan := -fsanitize=thread -fno-omit-frame-pointer
SANITIZE_fuzz := $(SANITIZE_asan) -fsanitize=fuzzer-no-link
SANITIZE := $(SANITIZE_$(VARIANT))
CPPFLAGS_sim := -DFKL_PLATFORM_SIMULATED
SANITIZE_sim-asan := $(SANITIZE_asan)
CPPFLAGS_sim-asan := $(CPPFLAGS_sim)
CPPFLAGS_tsan := -include tests/support/tsan/ck_md_shim.h

# Criterion cannot start under ThreadSanitizer; tests/support/unit.h then brings a main() instead.
ifeq ($(VARIANT),tsan)
  UNIT_CFLAGS := -DFKL_PLAIN_MAIN
else
  UNIT_CFLAGS := $(shell pkg-config --cflags criterion 2>/dev/null)
  UNIT_LIBS := $(shell pkg-config --libs criterion 2>/dev/null)
endif

COMPILE = $(CC) -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread $(WARNINGS) $(SANITIZE) \
  $(CFLAGS) -Iinclude $(CPPFLAGS_$(VARIANT)) $(CPPFLAGS) -MMD -MP
LINK = $(CC) -pthread $(SANITIZE) $(CFLAGS) $(LDFLAGS)
say = $(if $(V),,@echo "  $(1)  $@" &&)

ifeq ($(shell uname -s),Darwin)
  SHARED := libforkless.$(VERSION).dylib
  SHARED_LINKS := libforkless.$(SOVERSION).dylib libforkless.dylib
  SHARED_FLAGS := -dynamiclib -install_name $(PREFIX)/lib/libforkless.$(SOVERSION).dylib
else
  SHARED := libforkless.so.$(VERSION)
  SHARED_LINKS := libforkless.so.$(SOVERSION) libforkless.so
  SHARED_FLAGS := -shared -Wl,-soname,libforkless.so.$(SOVERSION) -Wl,--as-needed \
    $(if $(SANITIZE),,-Wl,-z,defs)
endif

# -- Library and programs ---------------------------------------------------------------------

built = $(patsubst %.c,$(OUT)/%,$(wildcard $(1)))
LIBRARY := $(addsuffix .o,$(call built,runtime/*.c runtime/*/*.c))
UNIT := $(call built,tests/runtime/test_*.c tests/faults/*.c)
SIM := $(call built,tests/sim/*.c)
SIM_SUPPORT := $(addsuffix .o,$(call built,tests/support/sim*.c))
FUZZ := $(call built,tests/fuzz/*.c)
STRESS := $(call built,tests/stress/*.c)
EXAMPLES := $(call built,docs/examples/*.c)
BENCH := $(OUT)/bench/runtime/forkless/forkless

programs: all $(UNIT) $(STRESS) $(EXAMPLES) $(BENCH) ## build the C tests, stress programs and examples

simulations: $(SIM)

fuzzers: $(FUZZ) # with clang and VARIANT=fuzz

$(LIBRARY): | libraries

.PHONY: libraries
libraries:
	@pkg-config --exists ck $(MSGPACK) || { echo 'libraries are missing: run make deps'; exit 1; }

$(OUT)/libforkless.a: $(LIBRARY)
	@rm -f $@
	$(call say,AR) $(AR) rcs $@ $^

$(OUT)/$(SHARED): $(LIBRARY)
	$(call say,LD) $(LINK) $(SHARED_FLAGS) $^ $(DEP_LIBS) -o $@

$(OUT)/libforkless.so: $(OUT)/$(SHARED)
	@cd $(OUT) && for link in $(SHARED_LINKS); do ln -sf $(SHARED) $$link; done

$(OUT)/runtime/%.o: runtime/%.c
	@mkdir -p $(@D)
	$(call say,CC) $(COMPILE) -Iruntime $(DEP_CFLAGS) -c $< -o $@

$(OUT)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(call say,CC) $(COMPILE) -Iruntime -Itests $(DEP_CFLAGS) $(UNIT_CFLAGS) -c $< -o $@

$(OUT)/%.o: %.c # examples and benchmarks see the public headers only
	@mkdir -p $(@D)
	$(call say,CC) $(COMPILE) -c $< -o $@

# Tests link the archive, so that they reach what the shared library hides.
$(UNIT): %: %.o $(OUT)/libforkless.a
	$(call say,LD) $(LINK) $^ $(UNIT_LIBS) $(DEP_LIBS) -o $@

$(STRESS): %: %.o $(OUT)/libforkless.a
	$(call say,LD) $(LINK) $^ $(DEP_LIBS) -o $@

$(FUZZ): %: %.o $(OUT)/libforkless.a
	$(call say,LD) $(LINK) -fsanitize=fuzzer $^ $(DEP_LIBS) -o $@

$(SIM): %: %.o $(SIM_SUPPORT) $(OUT)/libforkless.a
	$(call say,LD) $(LINK) $^ $(DEP_LIBS) -o $@

$(BENCH): $(addsuffix .o,$(call built,bench/runtime/forkless/*.c))
$(EXAMPLES): %: %.o
$(EXAMPLES) $(BENCH): $(OUT)/libforkless.so
	$(call say,LD) $(LINK) $(filter %.o,$^) -L$(OUT) -lforkless -Wl,-rpath,'$(CURDIR)/$(OUT)' -o $@

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

# -- What people run --------------------------------------------------------------------------

deps: ## install missing packages, make the Python environments in .venv
	@bash .ci/deps.sh packages all

demo: ## run a playbook on fork and on forkless and compare (ENV=2.14 or ENV=newest)
	@bash .ci/deps.sh packages $(ENV)
	@.venv/$(ENV)/bin/python bench/demo/compare.py $(ARGS)

test: deps ## run all tests: C, Python, Ansible
	@rm -f build/results/runtime* build/results/python* build/results/ansible*
	+@for suite in runtime python ansible; do $(MAKE) --no-print-directory test-$$suite; done; true
	@bash .ci/summary.sh runtime python ansible

test-runtime: ## C unit tests, simulations, stress programs and documentation examples
	@bash .ci/deps.sh packages
	+@$(MAKE) --no-print-directory programs
	+@$(MAKE) --no-print-directory VARIANT=sim simulations
	@bash .ci/test-c.sh runtime plain

sim: ## C scenarios on the simulated platform (SEEDS=500 of each, FROM=1, ARGS: names)
	@bash .ci/deps.sh packages
	+@$(MAKE) --no-print-directory VARIANT=sim simulations
	@bash .ci/test-c.sh sim sim

models: ## search all interleavings of the models of the protocols (ARGS: names)
	@bash .ci/deps.sh models
	@bash tests/models/run.sh $(ARGS)

fuzz: ## let libFuzzer look for inputs that break the codec (FUZZ_SECONDS=60 each, ARGS: names)
	@bash .ci/deps.sh packages clang
	+@$(MAKE) --no-print-directory CC="$$(command -v clang-14 || command -v clang)" VARIANT=fuzz fuzzers
	@bash tests/fuzz/run.sh $(ARGS)

test-mutants: ## prove that the C tests notice faults (minutes; ARGS are names of faults)
	@bash .ci/deps.sh packages
	@bash tests/mutants/run.sh $(ARGS)

test-python: deps ## the Python binding, on each CPython found
	@bash .ci/test-python.sh python

test-scale: ## many simulated processes at once and one after another, on the newest CPython (minutes)
	@bash .ci/deps.sh packages newest
	@.venv/newest/bin/python tests/python/stress/many.py
	@.venv/newest/bin/python tests/python/stress/successive.py
	@.venv/newest/bin/python tests/python/stress/storm.py

test-ansible: deps ## Ansible on forkless, on each ansible-core
	@bash .ci/test-python.sh ansible

test-upstream: ## CPython's own tests on actors (PYTHONS="newest 2.14", MODES="fork actor futures", ARGS)
	@bash .ci/deps.sh packages $(or $(filter newest 2.14,$(PYTHONS)),$(if $(PYTHONS),,all))
	@MODES="$(MODES)" ARGS="$(ARGS)" bash .ci/test-upstream.sh $(PYTHONS)

compatibility: ## write docs/compatibility.md from what probes see (ENV=newest)
	@bash .ci/deps.sh packages $(ENV)
	@.venv/$(ENV)/bin/python tests/python/compatibility/page.py --write

asan: ## C and Python tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@bash .ci/deps.sh packages asan
	+@$(MAKE) --no-print-directory VARIANT=asan programs
	+@$(MAKE) --no-print-directory VARIANT=sim-asan simulations
	@bash .ci/test-c.sh asan asan
	@bash .ci/test-python.sh asan-python

tsan: ## C tests under ThreadSanitizer
	@bash .ci/deps.sh packages
	+@$(MAKE) --no-print-directory VARIANT=tsan programs
	@bash .ci/test-c.sh tsan tsan

tsan-python: ## stress programs of the Python binding under ThreadSanitizer, without the GIL
	@bash .ci/deps.sh packages tsan
	@bash .ci/tsan-python.sh

lint: all ## formatting, types, layering and the other rules of CONTRIBUTING.md
	@bash .ci/deps.sh packages lint
	@bash .ci/lint.sh

format: ## format the sources as lint wants them
	@bash .ci/deps.sh lint
	@bash .ci/lint.sh --fix

bench: bench-ansible bench-python ## the benchmarks of the Python binding

bench-ansible: ## an Ansible run on simulated processes beside one on real ones
	@bash .ci/deps.sh packages newest
	@.venv/newest/bin/python bench/ansible_set_fact.py $(ARGS)

bench-runtime: ## C actors beside Erlang, CAF and Go (ARGS="--only counting --repeat 3")
	@bash .ci/deps.sh packages bench
	+@$(MAKE) --no-print-directory $(BENCH)
	+@$(MAKE) --no-print-directory -k -f bench/runtime/peers.mk
	@.venv/bench/bin/python bench/runtime/run.py $(ARGS)

bench-python: ## simulated processes beside real ones and other libraries (ARGS="--only pipe --repeat 3")
	@bash .ci/deps.sh packages peers
	@.venv/peers/bin/python bench/python/run.py $(ARGS)

man: ## the manual pages of the C library, made from its headers, in build/man/man3
	@rm -rf build/man
	@python3 docs/manpages.py build/man/man3

install: all man ## install library, headers, pkg-config file and manual pages (PREFIX, DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/include/forkless $(DESTDIR)$(PREFIX)/lib/pkgconfig \
	  $(DESTDIR)$(PREFIX)/share/man/man3
	install -m 644 build/man/man3/*.3 $(DESTDIR)$(PREFIX)/share/man/man3
	install -m 644 include/forkless/*.h $(DESTDIR)$(PREFIX)/include/forkless
	install -m 644 $(OUT)/libforkless.a $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(OUT)/$(SHARED) $(DESTDIR)$(PREFIX)/lib
	cd $(DESTDIR)$(PREFIX)/lib && for link in $(SHARED_LINKS); do ln -sf $(SHARED) $$link; done
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS@|$(DEP_LIBS)|' \
	  forkless.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/forkless.pc

clean: ## remove what was built (.venv stays)
	rm -rf build bindings/python/build bindings/python/src/*.egg-info

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-22s%s\n", $$1, $$2}'
