// The words of the command line, as the kernel handed them over.
//
// Swift's CommandLine reads /proc/self/cmdline, which a bare container may lack, and repairs what is not UTF-8.
#ifndef LOCKSTEP_ARGUMENTS_H
#define LOCKSTEP_ARGUMENTS_H

/// Number of words, the program's name included.
int lockstep_argument_count(void);

/// Word `index`, a C string in any encoding that lives as long as the process.
const char *_Nonnull lockstep_argument(int index);

#endif
