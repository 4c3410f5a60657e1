#include "CArguments.h"

static int count;
static char **words;

// The GNU C library calls constructors with the arguments of main.
__attribute__((constructor)) static void keep(int argc, char **argv) {
  count = argc;
  words = argv;
}

int lockstep_argument_count(void) { return count; }

const char *lockstep_argument(int index) { return words[index]; }
