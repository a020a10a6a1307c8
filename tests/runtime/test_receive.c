// SPDX-License-Identifier: Apache-2.0
//
// Receiving: deadlines, wake-ups, receives by choice, marks, and the end of a drained mailbox.
#include "support/rig.h"

Test(receive, a_receive_times_out_not_before_its_deadline, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct rig_receipt receipt = {.deadline = fkl_after_ms(30)};
    rig_join(rig_spawn(runtime, act_receive_once, &receipt));
    assert_err(receipt.empty, FKL_EEMPTY);
    assert_err(receipt.err, FKL_ETIMEDOUT);
    cr_assert_geq(receipt.returned, receipt.deadline);
    cr_assert_null(receipt.out);
    receipt = (struct rig_receipt){.deadline = FKL_NO_WAIT};
    rig_join(rig_spawn(runtime, act_receive_once, &receipt));
    assert_err(receipt.err, FKL_ETIMEDOUT);
    rig_destroy(runtime);
}

Test(receive, a_send_wakes_a_receive, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct rig_receipt receipt = {.deadline = FKL_FOREVER};
    fkl_actor *actor = rig_spawn(runtime, act_receive_once, &receipt);
    assert_eventually(rig_waits_in(actor, "receive"));
    rig_send(actor, 1);
    rig_join(actor);
    assert_ok(receipt.err);
    rig_destroy(runtime);
}

Test(receive, receiving_outside_of_an_actor_is_eperm)
{
    fkl_msg *msg = NULL;
    assert_err(fkl_receive_until(FKL_NO_WAIT, &msg), FKL_EPERM);
    assert_err(fkl_try_receive(&msg), FKL_EPERM);
    cr_assert_null(msg);
}
