import MPI
import Testing

@Suite struct LauncherTests {
  @Test(arguments: [
    (["OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3", "PMIX_RANK": "2"], Launcher(rank: 2, size: 3)),
    (["PMI_RANK": "0", "PMI_SIZE": "4"], Launcher(rank: 0, size: 4)),
    (["MV2_COMM_WORLD_RANK": "1", "MV2_COMM_WORLD_SIZE": "2"], Launcher(rank: 1, size: 2)),
    (["PMIX_RANK": "7"], Launcher(rank: 7, size: nil)),
  ])
  func knowsTheLaunchers(environment: [String: String], expected: Launcher) {
    #expect(Launcher.detect { environment[$0] } == expected)
  }

  @Test(arguments: [
    [:],
    // A batch script of Slurm, outside of srun.
    ["SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "17"],
    ["OMPI_COMM_WORLD_RANK": "2"],
    ["PMI_RANK": "x", "PMI_SIZE": "2"],
    ["PMI_RANK": "2", "PMI_SIZE": "2"],
    ["PMIX_RANK": "-1"],
  ])
  func takesNothingElseForALauncher(environment: [String: String]) {
    #expect(Launcher.detect { environment[$0] } == nil)
  }
}
