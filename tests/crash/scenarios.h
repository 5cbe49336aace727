/*
 * What a broker does in the course of a life or several, as far as its journal has to do with it.
 */
#ifndef REEL_TESTS_CRASH_SCENARIOS_H
#define REEL_TESTS_CRASH_SCENARIOS_H

#include "tests/crash/crash_bench.h"

struct crash_scenario {
    const char *name;
    void (*play) (struct crash_bench *bench);
    bool heavy; /* much is written: only some of its operations can be tried */
};

extern const struct crash_scenario crash_scenarios[];
extern const size_t crash_scenario_count;

#endif
