/*
 * The run machine with whole workflows as a studio would write them.
 */
#include <check.h>

#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"

/* --- production-shaped -------------------------------------------------------------------- */

#define SHOT                                                                                                           \
    "{'workflow_id':'wf','global_provenance':{'project':'ep1','shot':'sh010'},'steps':["                               \
    "{'step_id':'keyframe','modality':'paid.keyframe','payload':{'prompt':'a quiet harbour'}},"                        \
    "{'step_id':'video','modality':'paid.video','depends_on':['keyframe'],"                                            \
    "'payload':{'first_frame':{'$ref':'#/keyframe/output/image'},'seconds':4}},"                                       \
    "{'step_id':'soundtrack','modality':'idem.audio','payload':{'mood':'calm'}},"                                      \
    "{'step_id':'film','modality':'idem.mux','depends_on':['video','soundtrack'],"                                     \
    "'payload':{'picture':{'$ref':'#/video/output/clip'},'sound':{'$ref':'#/soundtrack/output/wav'}}}]}"

START_TEST (scenario_a_film_from_four_steps)
{
    run_bench_start (&bench, SHOT);
    run_bench_answer (&bench);
    run_bench_succeed (&bench, "{'image':'k.png'}");
    run_bench_answer (&bench);
    ck_assert_str_eq (payload (), "{'first_frame':'k.png','seconds':4}");
    run_bench_succeed (&bench, "{'clip':'v.mp4'}");
    run_bench_succeed (&bench, "{'wav':'s.wav'}");
    ck_assert_str_eq (payload (), "{'picture':'v.mp4','sound':'s.wav'}");
    run_bench_succeed (&bench, "{'film':'f.mp4'}");
    run_bench_expect (&bench, "started keyframe 1 protected hold", "dispatch keyframe 1", "succeeded keyframe",
                      "started video 1 protected hold", "dispatch video 1", "succeeded video",
                      "started soundtrack 1 idempotent hold", "dispatch soundtrack 1", "succeeded soundtrack",
                      "started film 1 idempotent hold", "dispatch film 1", "succeeded film", "ended", "END");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "film", "/provenance"),
                      "{'project':'ep1','shot':'sh010','workflow_id':'wf','workflow_step_id':'film'}");
}
END_TEST

START_TEST (scenario_a_failed_video_spares_the_soundtrack)
{
    run_bench_start (&bench, SHOT);
    run_bench_answer (&bench);
    run_bench_succeed (&bench, "{'image':'k.png'}");
    run_bench_answer (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "content_policy", "");
    run_bench_succeed (&bench, "{'wav':'s.wav'}");
    run_bench_expect (&bench, "failed video content_policy", "started soundtrack 1 idempotent hold",
                      "dispatch soundtrack 1", "succeeded soundtrack", "skipped film dependency_failed", "ended",
                      "END");
}
END_TEST

START_TEST (scenario_a_failed_keyframe_skips_two_levels)
{
    run_bench_start (&bench, SHOT);
    run_bench_answer (&bench);
    run_bench_fail (&bench, "exit_status", "");
    run_bench_succeed (&bench, "{'wav':'s.wav'}");
    ck_assert_int_eq (status_of ("video"), REEL_STEP_SKIPPED);
    ck_assert_int_eq (status_of ("soundtrack"), REEL_STEP_SUCCEEDED);
    ck_assert_int_eq (status_of ("film"), REEL_STEP_SKIPPED);
    ck_assert_str_eq (run_bench_of_error (&bench, "film", "/detail/step_id"), "'video'");
}
END_TEST

START_TEST (scenario_a_provider_that_recovers)
{
    bench.defaults = (struct reel_policy){.max_attempts = 3};
    run_bench_start (&bench, SHOT);
    run_bench_answer (&bench);
    run_bench_fail (&bench, "http_503", "r");
    run_bench_answer (&bench);
    run_bench_fail (&bench, "http_503", "r");
    run_bench_answer (&bench);
    run_bench_succeed (&bench, "{'image':'k.png'}");
    run_bench_expect (&bench, "started keyframe 1 protected hold", "dispatch keyframe 1",
                      "retrying keyframe http_503 0", "started keyframe 2 protected hold", "dispatch keyframe 2",
                      "retrying keyframe http_503 0", "started keyframe 3 protected hold", "dispatch keyframe 3",
                      "succeeded keyframe", "started video 1 protected hold");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "keyframe", "/attempts"), "3");
    ck_assert_int_eq (run_bench_outcome (&bench, "keyframe").started_us, 1000);
}
END_TEST

START_TEST (scenario_the_rest_goes_to_another_worker)
{
    run_bench_start (&bench, WORKFLOW (STEP ("keyframe", "idem", ""),
                                       STEP ("video", "elsewhere",
                                             AFTER ("'keyframe'") ",'payload':{'i':{'$ref':'#/keyframe/output/i'}}")));
    run_bench_succeed (&bench, "{'i':'k.png'}");
    ck_assert (reel_run_ended (bench.run));
    const char *rest = run_bench_document_json (&bench);
    run_bench_free (&bench);

    run_bench_init (&bench);
    bench.setup.delivery = 2;
    bench.serves_everything = true;
    run_bench_start (&bench, rest);
    run_bench_expect (&bench, "started video 1 idempotent hold", "dispatch video 1");
    ck_assert_str_eq (payload (), "{'i':'k.png'}");
    ck_assert_uint_eq (bench.call.delivery, 2);
}
END_TEST

START_TEST (scenario_coverage_of_many_independent_shots)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("wide", "idem", ""), STEP ("close", "idem", ""), STEP ("insert", "idem", ""),
                               STEP ("cut", "idem", AFTER ("'wide','close','insert'"))));
    run_bench_succeed (&bench, "{}");
    run_bench_fail (&bench, "boom", "");
    run_bench_succeed (&bench, "{}");
    ck_assert_int_eq (status_of ("wide"), REEL_STEP_SUCCEEDED);
    ck_assert_int_eq (status_of ("close"), REEL_STEP_FAILED);
    ck_assert_int_eq (status_of ("insert"), REEL_STEP_SUCCEEDED);
    ck_assert_int_eq (status_of ("cut"), REEL_STEP_SKIPPED);
    ck_assert_str_eq (run_bench_of_error (&bench, "cut", "/detail/step_id"), "'close'");
}
END_TEST

START_TEST (scenario_a_cancelled_shoot_keeps_what_is_there)
{
    run_bench_start (&bench, SHOT);
    run_bench_answer (&bench);
    run_bench_succeed (&bench, "{'image':'k.png'}");
    run_bench_answer (&bench);
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_fail (&bench, "cancelled", "");
    run_bench_expect (&bench, "abort", "failed video cancelled", "ended cancelled", "END");
    ck_assert_int_eq (status_of ("keyframe"), REEL_STEP_SUCCEEDED);
    ck_assert_int_eq (status_of ("soundtrack"), REEL_STEP_PENDING);
    ck_assert_int_eq (status_of ("film"), REEL_STEP_PENDING);
    ck_assert (reel_run_cancelled (bench.run));
}
END_TEST

/* --- keyframe to video --------------------------------------------------------------------- */

#define POC                                                                                                               \
    "{'global_provenance':{'shot':'sh020'},'steps':[{'step_id':'keyframe','modality':'idem.keyframe','payload':{'p':1}}," \
    "{'step_id':'video','modality':'idem.video','depends_on':['keyframe'],"                                               \
    "'payload':{'image':{'$ref':'#/keyframe/artifacts/0/uri'}}}]}"

START_TEST (keyframe_video_passes_the_artifact_on)
{
    run_bench_start (&bench, POC);
    run_bench_succeed_with (&bench, "{}", "{'artifacts':[{'uri':'file:///k.png','bytes':9}]}");
    ck_assert_str_eq (payload (), "{'image':'file:///k.png'}");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started keyframe 1 idempotent hold", "dispatch keyframe 1", "succeeded keyframe",
                      "started video 1 idempotent hold", "dispatch video 1", "succeeded video", "ended", "END");
}
END_TEST

START_TEST (keyframe_video_failed_keyframe_skips_the_video)
{
    run_bench_start (&bench, POC);
    run_bench_fail (&bench, "exit_status", "");
    run_bench_expect (&bench, "started keyframe 1 idempotent hold", "dispatch keyframe 1",
                      "failed keyframe exit_status", "skipped video dependency_failed", "ended", "END");
}
END_TEST

START_TEST (keyframe_video_without_the_artifact_is_not_dispatched)
{
    run_bench_start (&bench, POC);
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started keyframe 1 idempotent hold", "dispatch keyframe 1", "succeeded keyframe",
                      "started video 1 idempotent hold", "failed video unresolved_reference", "ended", "END");
}
END_TEST

START_TEST (keyframe_video_says_where_both_come_from)
{
    run_bench_start (&bench, POC);
    run_bench_succeed_with (&bench, "{}", "{'artifacts':[{'uri':'file:///k.png'}]}");
    run_bench_succeed (&bench, "{}");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "keyframe", "/provenance"),
                      "{'shot':'sh020','workflow_id':'wf','workflow_step_id':'keyframe'}");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "video", "/provenance"),
                      "{'shot':'sh020','workflow_id':'wf','workflow_step_id':'video'}");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "video", "/idempotency_key"), "'wf/video'");
}
END_TEST

START_TEST (keyframe_video_goes_on_elsewhere_after_the_keyframe)
{
    run_bench_start (&bench, POC);
    run_bench_yield (&bench);
    run_bench_succeed_with (&bench, "{}", "{'artifacts':[{'uri':'file:///k.png'}]}");
    run_bench_expect (&bench, "started keyframe 1 idempotent hold", "dispatch keyframe 1", "succeeded keyframe",
                      "yielded", "END");
    const char *rest = run_bench_document_json (&bench);
    run_bench_free (&bench);

    run_bench_init (&bench);
    run_bench_start (&bench, rest);
    run_bench_expect (&bench, "started video 1 idempotent hold", "dispatch video 1");
    ck_assert_str_eq (payload (), "{'image':'file:///k.png'}");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run_scenarios");
    TCase *tc = suite_case (suite, "production-shaped", set_up_bench, tear_down_bench);
    tcase_add_test (tc, scenario_a_film_from_four_steps);
    tcase_add_test (tc, scenario_a_failed_video_spares_the_soundtrack);
    tcase_add_test (tc, scenario_a_failed_keyframe_skips_two_levels);
    tcase_add_test (tc, scenario_a_provider_that_recovers);
    tcase_add_test (tc, scenario_the_rest_goes_to_another_worker);
    tcase_add_test (tc, scenario_coverage_of_many_independent_shots);
    tcase_add_test (tc, scenario_a_cancelled_shoot_keeps_what_is_there);
    tc = suite_case (suite, "keyframe to video", set_up_bench, tear_down_bench);
    tcase_add_test (tc, keyframe_video_passes_the_artifact_on);
    tcase_add_test (tc, keyframe_video_failed_keyframe_skips_the_video);
    tcase_add_test (tc, keyframe_video_without_the_artifact_is_not_dispatched);
    tcase_add_test (tc, keyframe_video_says_where_both_come_from);
    tcase_add_test (tc, keyframe_video_goes_on_elsewhere_after_the_keyframe);
    return suite_run (suite);
}
