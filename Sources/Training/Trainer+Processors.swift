import Workers

extension Trainer {
  /// Warns if workers must share processors; collective.
  func warnOfCrowdedHosts() throws {
    for crowd in try group.crowdedHosts() where group.rank == 0 {
      let isMPI = group is MPIWorkers
      let share = "\(crowd.processors) processor\(crowd.processors == 1 ? "" : "s")"
      let remedy =
        isMPI
        ? "start fewer, or let mpirun give each a core with --bind-to core, or none with --bind-to none"
        : "use at most \(crowd.processors) workers"
      logger.warning(
        """
        \(crowd.workers) \(isMPI ? "ranks" : "workers") on \(crowd.host) may run on \(share) only, so a step takes at least \
        \(fixed(Double(crowd.workers) / Double(crowd.processors), 1)) times as long as with one for each; \(remedy)
        """)
    }
  }
}
