import Corpus
import Failures
import Files
import Foundation
import HDF5
import Models

extension SealedFormat {
  /// An n-gram model's file.
  package static let nGramModel = SealedFormat(
    name: "lockstep n-gram model", currentVersion: 1, noun: "n-gram model",
    remedy: "run 'lockstep baseline' with --output again")
}

/// An n-gram model in a sealed HDF5 file: `/vocabulary` as in a checkpoint, and `/ngrams/k` with the arrays of the
/// ``NGramTable`` of k-token n-grams.
package struct NGramFile {
  package let path: String
  package let seal: Seal
  package let model: NGramModel
  package let vocabulary: Vocabulary
  package let creator: String
  package let created: String

  /// - Throws: ``Failure`` (bad data) if the file is missing, damaged or holds no model.
  package init(path: String) throws {
    self.path = path
    let bytes = try PosixFile(path)
    seal = try Seal(of: bytes, as: .nGramModel)
    try seal.verifyDigest(of: bytes)
    let file = try H5File.open(path)
    guard bytes.isInPlace else {
      throw Failure(.badData, "was replaced while it was being opened", at: path, remedy: "try again")
    }
    creator = try file.attribute("creator")
    created = try file.attribute("created")
    let tokens = try file.openDataset("vocabulary")
    let tokenizer: String = try tokens.attribute("tokenizer")
    guard let tokenizer = Tokenizer(rawValue: tokenizer) else {
      throw Failure(
        .badData, "unknown tokenizer '\(tokenizer)'", at: path,
        remedy: "open it with the version of lockstep that wrote it")
    }
    vocabulary = try Vocabulary(tokenizer: tokenizer, tokens: tokens.readTexts())
    let order = try file.attribute("order", as: Int.self)
    guard NGramModel.orders.contains(order) else {
      throw Failure(.badData, "has order \(order)", at: path, remedy: SealedFormat.nGramModel.remedy)
    }
    let group = try file.openGroup("ngrams")
    let tables = try (1...order).map { length in
      let table = try group.openGroup("\(length)")
      return NGramTable(
        starts: try table.openDataset("starts").read(), tokens: try table.openDataset("tokens").read(),
        counts: try table.openDataset("counts").read())
    }
    do throws(NGramError) {
      model = try NGramModel(vocabularySize: vocabulary.count, tables: tables)
    } catch {
      throw Failure(
        .badData, "holds no n-gram model", at: path, cause: error.description, remedy: SealedFormat.nGramModel.remedy)
    }
  }

  /// Writes a model, under a temporary name until it is complete.
  ///
  /// - Throws: ``Failure`` (can't write); `path` is then unchanged.
  package static func write(_ model: NGramModel, _ vocabulary: Vocabulary, to path: String) throws {
    let temporary = TemporaryFile.name(for: path)
    do {
      try write(model, vocabulary, toNew: temporary)
      try Seal.write(to: temporary, as: .nGramModel)
      try PosixFile.move(temporary, over: path)
      try PosixFile.synchronizeDirectory(PathName(path).directory)
    } catch {
      _ = unlink(temporary)
      throw Failure(
        .cannotWrite, "the n-gram model can't be written", at: path, cause: "\(error)",
        remedy: "free some space or fix the permissions, or name another file")
    }
  }

  private static func write(_ model: NGramModel, _ vocabulary: Vocabulary, toNew path: String) throws {
    let file = try H5File.create(path, existing: .keep, userBlockSize: Seal.size)
    try file.setAttribute("format", SealedFormat.nGramModel.name)
    try file.setAttribute("format_version", SealedFormat.nGramModel.currentVersion)
    try file.setAttribute("creator", "Lockstep")
    try file.setAttribute("created", Date().formatted(.iso8601))
    try file.setAttribute("order", model.order)
    let tokens = try file.createDataset("vocabulary", vocabulary.tokens)
    try tokens.setAttribute("tokenizer", vocabulary.tokenizer.rawValue)
    let group = try file.createGroup("ngrams")
    for (index, table) in model.tables.enumerated() {
      let ofLength = try group.createGroup("\(index + 1)")
      for (name, values) in [("starts", table.starts), ("tokens", table.tokens), ("counts", table.counts)] {
        let storage = H5Storage(
          chunk: [min(1 << 18, max(values.count, 1))], shuffle: true, deflate: 1, fletcher32: true)
        try ofLength.createDataset(name, values, storage: storage).close()
      }
    }
    try file.close()
  }
}
