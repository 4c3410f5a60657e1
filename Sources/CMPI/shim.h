// The C++ bindings, long gone from the standard, would pull in C++ headers.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

// Swift imports a macro only when it is a plain constant. The ones below are casts of a global's address (Open MPI) or
// of a number (MPICH), so each gets a getter that Swift sees under the C spelling. The macro is undefined once its
// getter exists: Swift can import some of MPICH's forms as well, and two declarations of one name would be ambiguous.
#define CMPI_GETTER(type, name)                                       \
  __attribute__((swift_name("getter:" #name "()"))) static inline     \
  type cmpi_##name(void) { return name; }

// Predefined handles; their types are pointers in Open MPI and integers in MPICH.
CMPI_GETTER(MPI_Comm, MPI_COMM_WORLD)
CMPI_GETTER(MPI_Errhandler, MPI_ERRORS_RETURN)
CMPI_GETTER(MPI_Request, MPI_REQUEST_NULL)
CMPI_GETTER(MPI_Datatype, MPI_BYTE)
CMPI_GETTER(MPI_Datatype, MPI_INT32_T)
CMPI_GETTER(MPI_Datatype, MPI_FLOAT)
CMPI_GETTER(MPI_Datatype, MPI_DOUBLE)
CMPI_GETTER(MPI_Op, MPI_SUM)
CMPI_GETTER(MPI_Op, MPI_MIN)
#undef MPI_COMM_WORLD
#undef MPI_ERRORS_RETURN
#undef MPI_REQUEST_NULL
#undef MPI_BYTE
#undef MPI_INT32_T
#undef MPI_FLOAT
#undef MPI_DOUBLE
#undef MPI_SUM
#undef MPI_MIN

// Special addresses: small integers cast to pointers.
CMPI_GETTER(void *, MPI_IN_PLACE)
#undef MPI_IN_PLACE

#undef CMPI_GETTER
