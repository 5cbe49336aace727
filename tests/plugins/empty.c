/* A shared object that is no plugin. */
__attribute__ ((visibility ("default"))) int just_an_object (void);

int
just_an_object (void)
{
    return 0;
}
