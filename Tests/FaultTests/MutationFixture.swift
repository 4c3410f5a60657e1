import Checkpoints
import Corpus
import Files
import Foundation
import TestSupport
import Testing

/// Intact files of every kind, made once, and directories beside them in which trials damage copies.
///
/// Commands run one directory below, so that `../corpus` is the corpus for the makers of the files and for the trials alike.
final class MutationFixture: Sendable {
  let path: String

  init() throws {
    path = try TrialPlace.make("mutations")
    try FileManager.default.createDirectory(atPath: path + "/base", withIntermediateDirectories: false)
    try Self.text(sentences: 90, seed: 7).write(toFile: path + "/text.txt", atomically: true, encoding: .utf8)
    try Self.text(sentences: 70, seed: 8).write(toFile: path + "/other.txt", atomically: true, encoding: .utf8)
    try Self.configuration.write(toFile: path + "/base/run.yaml", atomically: true, encoding: .utf8)
    for (text, corpus) in [("text", "corpus"), ("other", "other-corpus")] {
      try make(["prepare", "../\(text).txt", "--output", "../\(corpus)", "--shards", "2", "--split", "0.8,0.1,0.1"])
    }
    try make(["train", "run.yaml"])
    try make(
      ["train", "run.yaml"]
        + ["run.directory=other-run", "model.cell=gru", "optimizer.name=sgd"].flatMap { ["--set", $0] })
    try link("base/run/latest", to: "checkpoint.h5")
    try link("base/other-run/latest", to: "other-checkpoint.h5")
    // Without its first block a checkpoint is plain HDF5, with tensors under PyTorch's names.
    try Data(bytes("checkpoint.h5").dropFirst(Seal.size)).write(to: URL(fileURLWithPath: path + "/weights.h5"))
    try Data(bytes("other-checkpoint.h5").dropFirst(Seal.size))
      .write(to: URL(fileURLWithPath: path + "/other-weights.h5"))
    for name in ["corpus", "corpus-words", "lstm"] {
      try FileManager.default.copyItem(atPath: "\(Self.versionOne)/\(name)", toPath: "\(path)/version-1-\(name)")
    }
  }

  func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")))
  }

  /// An empty directory for one trial; one for each thread that makes trials.
  func trialDirectory(_ job: Int) throws -> String {
    let directory = "\(path)/trial-\(job)"
    try? FileManager.default.removeItem(atPath: directory)
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    return directory
  }

  /// Puts links to all files of a corpus into a new directory.
  func linkCorpus(_ name: String, to directory: String) throws {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    for file in try FileManager.default.contentsOfDirectory(atPath: "\(path)/\(name)") {
      try FileManager.default.linkItem(atPath: "\(path)/\(name)/\(file)", toPath: "\(directory)/\(file)")
    }
  }

  /// Runs the command on intact files, which must succeed.
  @discardableResult
  func make(_ arguments: [String], in directory: String = "base") throws -> ChildProcess.Outcome {
    let outcome = try TrialCommand(arguments: arguments, directory: "\(path)/\(directory)").run()
    try #require(outcome.status == 0, "\(arguments): \(outcome.standardError)")
    return outcome
  }

  private func link(_ name: String, to new: String) throws {
    try FileManager.default.linkItem(
      atPath: URL(fileURLWithPath: "\(path)/\(name)").resolvingSymlinksInPath().path, toPath: "\(path)/\(new)")
  }

  private static let configuration = """
    model: {cell: lstm, layers: 2, hidden_size: 8, embedding_size: 6}
    data: {corpus: ../corpus, streams: 6, window: 8}
    optimizer: {name: adam, learning_rate: 0.01}
    training: {steps: 12, gradient_shards: 3, clip_norm: 1.0, log_every: 4, checkpoint_every: 6}
    run: {directory: run, keep: 2}

    """

  private static let versionOne = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../Fixtures/version-1").standardized.path

  /// Sentences of a few words, the same on every machine.
  static func text(sentences: Int, seed: UInt64) -> String {
    let words = ["the", "loom", "a", "weaver", "thread", "turns", "slowly", "and", "Ähre", "cloth", "«warp»", "we"]
    var state = seed
    var text = ""
    for _ in 0..<sentences {
      for word in 0..<6 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        text += words[Int(state >> 33) % words.count] + (word == 5 ? ".\n" : " ")
      }
    }
    return text
  }
}

extension MutationFixture {
  /// Writes a damaged shard of the corpus in `directory` with a seal that is right, and a manifest that vouches for it.
  func resealShard(_ name: String, _ bytes: [UInt8], in directory: String) throws {
    let shard = "\(directory)/\(name)"
    let old = try Seal(of: shard, as: .corpusShard)
    try replace(shard, by: bytes)
    let new = try Seal.write(to: shard, as: .corpusShard)
    // The shard table is neither compressed nor checksummed: the digest stands there as text, the size as eight bytes.
    let manifest = "\(directory)/\(CorpusManifest.fileName)"
    var table = [UInt8](try Data(contentsOf: URL(fileURLWithPath: manifest)))
    Self.substitute(Array(old.sha256.utf8), by: Array(new.sha256.utf8), in: &table)
    func size(_ seal: Seal) -> [UInt8] {
      withUnsafeBytes(of: UInt64(seal.byteCount + Seal.size).littleEndian) { Array($0) }
    }
    Self.substitute(size(old), by: size(new), in: &table)
    try replace(manifest, by: table)
    try Seal.write(to: manifest, as: .corpusManifest)
  }

  /// Writes a file anew, not through a link.
  func replace(_ path: String, by bytes: [UInt8]) throws {
    unlink(path)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  private static func substitute(_ old: [UInt8], by new: [UInt8], in bytes: inout [UInt8]) {
    guard old != new, let range = Data(bytes).range(of: Data(old)) else { return }
    bytes.replaceSubrange(range, with: new)
  }
}
