import Checkpoints
import Configuration
import Corpus
import Crypto
import Failures
import Files
import HDF5
import Kernels
import Workers

extension Fingerprint {
  private static let remedyForProgram = "install the same build of lockstep, with the same libraries, on all hosts"
  private static let remedyForWords = "start all ranks with the same command"

  /// What ranks must have in common before they read any file: the program, its arithmetic and its arguments, except
  /// for
  /// paths.
  ///
  /// - Parameters:
  ///   - arithmetic: the command's arithmetic; nil if ranks compute nothing together.
  ///   - options: the command's options that change what it computes or prints.
  package init(
    command: String, _ arithmetic: Arithmetic? = nil, options: [(name: String, value: String)] = []
  ) {
    self.init()
    add("the command", "'\(command)'", remedy: Self.remedyForWords)
    add("the build of lockstep", ProgramIdentity.build, remedy: Self.remedyForProgram)
    add("the C library", ProgramIdentity.libc, remedy: Self.remedyForProgram)
    add("the MPI library", ProgramIdentity.mpi, remedy: Self.remedyForProgram)
    add("the HDF5 library", H5Library.version, remedy: Self.remedyForProgram)
    add(
      "the architecture", ProgramIdentity.architecture,
      remedy: "use hosts of one architecture: others round in other places")
    add(
      "the instruction set", arithmetic?.instructionSet.name ?? "none",
      remedy: "choose one that all hosts have with --kernels avx512, avx2 or portable, or LOCKSTEP_KERNELS")
    for option in options { add(option.name, option.value, remedy: Self.remedyForWords) }
  }
}

extension RunConfiguration {
  /// What ranks must have in common before they train with this configuration: every value in effect except paths,
  /// which
  /// may differ between hosts.
  ///
  /// - Parameter resume: the argument of `--resume`.
  func fingerprint(resuming resume: String?) -> Fingerprint {
    var fingerprint = Fingerprint()
    let remedy = "give all ranks the same configuration and the same --set options"
    let names = ["latest", "best", "auto"]
    fingerprint.add(
      "--resume", resume.map { names.contains($0) ? $0 : "a checkpoint" } ?? "not given",
      remedy: "start all ranks with the same command")
    for section in [nil] + Self.sections {
      for (name, value) in settings(inSection: section) {
        if case .path = value { continue }
        fingerprint.add(section.map { "\($0).\(name)" } ?? name, value.yaml, remedy: remedy)
      }
    }
    fingerprint.add(
      "model.initial_parameters", model.initialParameters == nil ? "not given" : "given", remedy: remedy)
    return fingerprint
  }
}

extension Fingerprint {
  /// What the files that each rank reads must have in common.
  fileprivate init(corpus: CorpusReader, initialParameters path: String?) throws {
    self.init()
    add(
      "the corpus's content", String(try corpus.contentDigest().prefix(16)),
      remedy: "give all ranks the same corpus: prepare it once, and share or copy the directory", exitStatus: .badData)
    guard let path else { return }
    add(
      "the content of model.initial_parameters",
      String(try Self.sha256(ofFileAt: InitialParameters.file(at: path)).prefix(16)),
      remedy: "give all ranks the same file", exitStatus: .badData)
  }

  private static func sha256(ofFileAt path: String) throws -> String {
    let file = try PosixFile(path)
    var hash = SHA256()
    var offset = 0
    while true {
      let bytes = try file.read(1 << 20, at: offset)
      if bytes.isEmpty { return hash.finalize().hexadecimal }
      hash.update(data: bytes)
      offset += bytes.count
    }
  }
}

extension WorkerGroup {
  /// Checks that all ranks have opened the same corpus; collective.
  /// - Throws: ``WorkerFailure``.
  package func compare(_ corpus: CorpusReader, initialParameters: String? = nil) throws {
    // Threads of one process read the same files.
    guard self is MPIWorkers else { return }
    try compare(try agreeing { try Fingerprint(corpus: corpus, initialParameters: initialParameters) })
  }
}
