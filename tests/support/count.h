/*
 * How many elements an array has.
 */
#ifndef REEL_TESTS_SUPPORT_COUNT_H
#define REEL_TESTS_SUPPORT_COUNT_H

#define COUNT(array) (sizeof (array) / sizeof (array)[0])

#endif
