/*
 * A program around a part that decides: the whole of the part is linked in, and nothing but
 * base and proto beside it. That it links is the test; tests/pure/check looks at the rest.
 */
int
main (void)
{
    return 0;
}
