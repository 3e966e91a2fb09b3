// The program under mpirun: rank 0 runs the command, the others work for it.
#ifndef VKGPT_CLI_RANKS_UNDER_MPI_H
#define VKGPT_CLI_RANKS_UNDER_MPI_H

#include "mpi/ranks.h"

// Starts MPI, in a program that is built with it. Returns on rank 0; the other ranks end with it, or end all with a
// sentence.
struct Ranks *under_mpi(int argc, char **argv);

#endif
