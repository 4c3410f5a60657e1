import Checkpoints
import Corpus
import Files
import Foundation
import Parameters
import Testing

/// What is damaged, and who reads it.
enum MutationSubject: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case checkpoint
  /// With a seal that is right: HDF5 and what reads through it meet the damage.
  case resealedCheckpoint = "resealed-checkpoint"
  case manifest
  case resealedManifest = "resealed-manifest"
  case shard
  case resealedShard = "resealed-shard"
  case versionOneManifest = "version-1-manifest"
  case versionOneShard = "version-1-shard"
  case initialParameters = "initial-parameters"
  case configuration
  case text

  var testDescription: String { rawValue }

  /// A success must have the intact file's result: a seal vouches for every byte.
  var isSealed: Bool { [.checkpoint, .manifest, .shard].contains(self) }

  private var isResealed: Bool { [.resealedCheckpoint, .resealedManifest, .resealedShard].contains(self) }

  /// One trial: the damaged file is in place in `directory`, and this command reads it.
  struct Case {
    let arguments: [String]
    let description: String
    /// The damaged bytes.
    let bytes: [UInt8]
  }

  /// Every command that reads such a file, from within a trial directory.
  var commands: [[String]] {
    func set(_ settings: String...) -> [String] { settings.flatMap { ["--set", $0] } }
    let evaluate = ["evaluate", "--json", "--corpus"]
    let train = ["train", "../base/run.yaml"] + set("run.directory=out")
    return switch self {
    case .checkpoint, .resealedCheckpoint:
      [
        ["inspect", "damaged.h5", "--json"], evaluate + ["../corpus", "damaged.h5"],
        ["generate", "damaged.h5", "--length", "30"], ["inspect", "damaged.h5"],
        train + set("training.steps=14") + ["--resume", "damaged.h5"],
      ]
    case .manifest, .resealedManifest, .shard, .resealedShard:
      [
        ["inspect", "corpus", "--json"], evaluate + ["corpus", "../base/run", "--split", "train"],
        train + set("training.steps=2", "data.corpus=corpus"),
        ["inspect", files.place],
        evaluate + ["corpus", "../base/run", "--split", "valid"],
      ]
    case .versionOneManifest, .versionOneShard:
      [
        ["inspect", "corpus", "--json"], evaluate + ["corpus", "../version-1-lstm", "--split", "train"],
        train + set("training.steps=2", "data.corpus=corpus"), ["inspect", files.place],
      ]
    case .initialParameters:
      [
        train + set("training.steps=2", "model.initial_parameters=damaged.h5"), ["inspect", "damaged.h5", "--json"],
        train + set("training.steps=2", "model.initial_parameters=damaged.h5"), ["inspect", "damaged.h5"],
      ]
    case .configuration:
      [
        // Once with little to do, whatever the file says of sizes, and once up to the making of the run directory, which
        // is impossible below a file.
        ["train", "damaged.yaml"]
          + set(
            "run.directory=out", "model.layers=1", "model.hidden_size=6", "model.embedding_size=6", "data.streams=4",
            "data.window=6", "training.steps=1", "training.gradient_shards=2"),
        ["train", "damaged.yaml"] + set("run.directory=../text.txt/out"),
      ]
    case .text:
      ["char", "word", "byte"].map { ["prepare", "damaged.txt", "--output", "out", "--tokenizer", $0] }
    }
  }

  private static let shardName = "train-00001.h5"

  /// The damaged file's place in a trial directory, and the files of the fixture that it is made from.
  private var files: (place: String, intact: String, other: String) {
    switch self {
    case .checkpoint, .resealedCheckpoint: ("damaged.h5", "checkpoint.h5", "other-checkpoint.h5")
    case .manifest, .resealedManifest:
      ("corpus/manifest.h5", "corpus/manifest.h5", "other-corpus/manifest.h5")
    case .shard, .resealedShard:
      ("corpus/\(Self.shardName)", "corpus/\(Self.shardName)", "other-corpus/\(Self.shardName)")
    case .versionOneManifest:
      ("corpus/manifest.h5", "version-1-corpus/manifest.h5", "version-1-corpus-words/manifest.h5")
    case .versionOneShard:
      ("corpus/train-00000.h5", "version-1-corpus/train-00000.h5", "version-1-corpus-words/train-00000.h5")
    case .initialParameters: ("damaged.h5", "weights.h5", "other-weights.h5")
    case .configuration: ("damaged.yaml", "base/run/config.yaml", "base/other-run/config.yaml")
    case .text: ("damaged.txt", "text.txt", "other.txt")
    }
  }

  /// Puts the intact file into a trial directory.
  func placeIntact(in directory: String, _ fixture: MutationFixture) throws {
    switch self {
    case .manifest, .resealedManifest, .shard, .resealedShard:
      try fixture.linkCorpus("corpus", to: "\(directory)/corpus")
    case .versionOneManifest, .versionOneShard:
      try fixture.linkCorpus("version-1-corpus", to: "\(directory)/corpus")
    default: try fixture.replace("\(directory)/\(files.place)", by: fixture.bytes(files.intact))
    }
  }

  /// Puts the damaged file of a trial in its place.
  func placeDamaged(_ number: Int, in directory: String, _ fixture: MutationFixture) throws -> Case {
    var random = TestMode.random(rawValue, number)
    let intact = try fixture.bytes(files.intact)
    let other = try fixture.bytes(files.other)
    let place = "\(directory)/\(files.place)"
    let (bytes, description): ([UInt8], String)
    switch self {
    case .configuration where random.happens(0.6):
      (bytes, description) = TextMutation.apply(TextMutation.allCases, to: intact, &random)
    case .text where random.happens(0.6):
      (bytes, description) = TextMutation.apply(TextMutation.ofAnyText, to: intact, &random)
    default:
      (bytes, description) = Mutation.apply(to: intact, other: other, from: isResealed ? Seal.size : 0, &random)
    }
    try placeIntact(in: directory, fixture)
    switch self {
    case .resealedCheckpoint:
      try fixture.replace(place, by: bytes)
      try Seal.write(to: place, as: .checkpoint)
    case .resealedManifest:
      try fixture.replace(place, by: bytes)
      try Seal.write(to: place, as: .corpusManifest)
    case .resealedShard: try fixture.resealShard(Self.shardName, bytes, in: "\(directory)/corpus")
    default: try fixture.replace(place, by: bytes)
    }
    return Case(arguments: commands[number % commands.count], description: description, bytes: bytes)
  }
}
