# SPDX-License-Identifier: Apache-2.0
#
# make -f bench/runtime/peers.mk: builds the programs of the peers in build/bench, of those whose
# compiler and library are there. Of CAF it must be 0.17; later versions have another interface.

SOURCE := bench/runtime/peers
BUILT := build/bench

define caf_test
#include <caf/config.hpp>
#if CAF_VERSION / 100 != 17
#error
#endif
endef
export caf_test

PEERS := \
  $(if $(filter Linux,$(shell uname -s)),$(BUILT)/raw/raw) \
  $(if $(shell command -v erlc),$(BUILT)/erlang/savina.beam) \
  $(if $(shell echo "$$caf_test" | $(CXX) -x c++ -fsyntax-only - 2>/dev/null && echo yes),\
    $(BUILT)/caf/savina) \
  $(if $(shell command -v go),$(BUILT)/go/savina)

all: $(PEERS)

$(BUILT)/raw/raw: $(SOURCE)/raw/raw.c
	@mkdir -p $(@D)
	$(CC) -O2 -std=gnu11 -Wall -Wextra -pthread $< -o $@

# The last file stands for all of them.
$(BUILT)/erlang/savina.beam: $(wildcard $(SOURCE)/erlang/*.erl)
	@mkdir -p $(@D)
	erlc -Wall -o $(@D) $(filter-out %/savina.erl,$^) $(SOURCE)/erlang/savina.erl

CAF_OBJECTS := $(patsubst $(SOURCE)/caf/%.cpp,$(BUILT)/caf/%.o,$(wildcard $(SOURCE)/caf/*.cpp))

$(BUILT)/caf/%.o: $(SOURCE)/caf/%.cpp $(SOURCE)/caf/savina.hpp
	@mkdir -p $(@D)
	$(CXX) -O2 -std=c++17 -Wall -c $< -o $@

$(BUILT)/caf/savina: $(CAF_OBJECTS)
	$(CXX) -pthread $^ -lcaf_core -o $@

$(BUILT)/go/savina: $(wildcard $(SOURCE)/go/*)
	@mkdir -p $(@D)
	cd $(SOURCE)/go && GOTOOLCHAIN=local GOFLAGS=-buildvcs=false go build -o $(CURDIR)/$@ .
