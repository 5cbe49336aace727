/*
 * UTF-8, one character at a time (RFC 3629: no surrogates, shortest form, up to U+10FFFF).
 */
#ifndef REEL_BASE_UTF8_H
#define REEL_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The bytes of the character that at[0..left) starts with; 0 when it starts with none. left > 0. */
size_t reel_utf8_character (const uint8_t *at, size_t left);

#endif
