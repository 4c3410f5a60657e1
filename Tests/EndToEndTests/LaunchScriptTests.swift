import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// The scripts of launch/, with stand-ins for the programs that they start.
  @Suite struct LaunchScriptTests {
    private static let launch =
      ((#filePath as NSString).deletingLastPathComponent as NSString)
      .appendingPathComponent("../../launch")

    private func packages(_ environment: [String: String]) throws -> [String] {
      let outcome = try ChildProcess.run(
        "bash", ["-c", ". \"$0/lib.sh\" && packages", Self.launch],
        environment: ChildProcess.inheritedEnvironment.merging(environment) { $1 }, deadline: .seconds(20))
      #expect(outcome.status == 0, "\(outcome.standardError)")
      return outcome.standardOutput.split(separator: "\n").map(String.init)
    }

    @Test func onlyThePackagesOfTheChosenLibrariesAreAskedFor() throws {
      let usual = try packages([:])
      #expect(usual.contains("libopenmpi-dev") && usual.contains("libhdf5-dev") && usual.contains("git"))
      let others = try packages(["LOCKSTEP_MPI": "mpich", "LOCKSTEP_HDF5": "hdf5-mpich"])
      #expect(others.contains("libmpich-dev") && others.contains("libhdf5-mpich-dev"))
      #expect(!others.contains("libopenmpi-dev") && !others.contains("libhdf5-dev"))
      // Libraries that Debian does not have.
      let own = try packages(["LOCKSTEP_MPI": "cray-mpich", "LOCKSTEP_HDF5": "hdf5-1.14"])
      #expect(!own.contains { $0.contains("mpi") || $0.contains("hdf5") }, "\(own)")
      #expect(own.contains("git"))
    }

    @Test func theComparisonRunsInADirectoryWithSpaces() throws {
      let workspace = try Workspace()
      let home = "a directory with spaces"
      func write(_ name: String, _ text: String, executable: Bool = false) throws {
        let path = workspace.file("\(home)/\(name)")
        try FileManager.default.createDirectory(
          atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        if executable { try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path) }
      }
      for name in ["lib.sh", "compare-pytorch"] {
        try write("launch/\(name)", String(contentsOfFile: "\(Self.launch)/\(name)", encoding: .utf8))
      }
      try write(
        "bin/swift",
        """
        #!/bin/bash
        case "$*" in *--version*) echo "Swift version 6.3" ;; *--show-bin-path*) echo "$PWD/built" ;; esac
        """, executable: true)
      try write("bin/dpkg-query", "#!/bin/bash\nprintf installed\n", executable: true)
      // Prints its arguments, and how many of the libraries to preload are there.
      try write(
        "peer/bin/python",
        """
        #!/bin/bash
        printf '[%s]\\n' "$@"
        while [ "$1" != --preload ]; do shift; done
        IFS=:
        for library in $2; do [ -e "$library" ] && [ "${library// /}" = "$library" ] && echo there; done
        """, executable: true)
      try write("peer/lib/libiomp5.so", "")
      try write(".build/pytorch-peer/libtcmalloc_minimal.so.4", "")
      let base = workspace.file(home)
      let outcome = try ChildProcess.run(
        "bash", ["\(base)/launch/compare-pytorch", "--sizes", "S"],
        environment: ChildProcess.inheritedEnvironment.merging([
          "PATH": "\(base)/bin:/usr/bin:/bin", "LOCKSTEP_PEER_VENV": "\(base)/peer",
        ]) { $1 }, deadline: .seconds(20))
      #expect(outcome.status == 0, "\(outcome.standardError)")
      let lines = outcome.standardOutput.split(separator: "\n").map(String.init)
      #expect(lines.contains("[\(base)/built/lockstep]") && lines.suffix(2) == ["there", "there"], "\(lines)")
    }
  }
}
