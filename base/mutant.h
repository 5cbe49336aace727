/*
 * Mutants: the product, broken in one place, to see whether the tests notice.
 *
 * tests/mutants/mutants.txt lists them, each with the tests that must catch it; script/mutants tries them all. In the
 * product, which is built without REEL_MUTANT, REEL_MUTANT_IS is a constant 0 and leaves no code behind.
 */
#ifndef REEL_BASE_MUTANT_H
#define REEL_BASE_MUTANT_H

#ifdef REEL_MUTANT
#define REEL_MUTANT_IS(number) (REEL_MUTANT == (number))
#else
#define REEL_MUTANT_IS(number) 0
#endif

#endif
