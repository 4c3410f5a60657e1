import Glibc

/// What the environment says about the MPI launcher that started this process, known without calling MPI.
///
/// A process that no launcher started must not call `MPI_Init`: it would start daemons and fail on machines where MPI is
/// installed but not set up, for a job that needs no messages.
package struct Launcher: Equatable, Sendable {
  package let rank: Int
  /// The number of processes, where the launcher tells it; plain PMIx does not.
  package let size: Int?

  package init(rank: Int, size: Int?) {
    (self.rank, self.size) = (rank, size)
  }

  /// Open MPI; MPICH, Intel MPI and Slurm's PMI; MVAPICH; any PMIx launcher (`srun --mpi=pmix`, PRRTE).
  ///
  /// Slurm's own variables are left out on purpose: a batch script has them too, outside of any `srun`.
  private static let variables: [(rank: String, size: String?)] = [
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("PMIX_RANK", nil),
  ]

  /// The launcher of this process, or nil when none started it.
  package static let current = detect { name in getenv(name).map { String(cString: $0) } }

  /// Tasks of the `srun` that started this process, MPI or not; nil where none did. A batch script is a step of one task.
  package static let slurmTasks = getenv("SLURM_STEP_NUM_TASKS").flatMap { Int(String(cString: $0)) }

  /// Looks for a launcher's variables by `variable`, which gives the value of an environment variable.
  package static func detect(variable: (String) -> String?) -> Launcher? {
    for (rankName, sizeName) in variables {
      guard let rank = variable(rankName).flatMap({ Int($0) }), rank >= 0 else { continue }
      guard let sizeName else { return Launcher(rank: rank, size: nil) }
      guard let size = variable(sizeName).flatMap({ Int($0) }), size > rank else { continue }
      return Launcher(rank: rank, size: size)
    }
    return nil
  }
}
