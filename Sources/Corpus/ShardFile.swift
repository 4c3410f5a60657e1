import Failures
import Files
import HDF5
import Synchronization

/// One shard on disk: what the manifest says of it, and which file was found there.
///
/// A file that changes while it is in use is noticed by its identity: ``checkUnchanged()``.
final class ShardFile: Sendable {
  let path: String
  let entry: CorpusManifest.Shard
  /// Of the manifest; shards of version 1 have no seal.
  private let formatVersion: Int
  private struct State {
    var identity: FileIdentity
    /// Whether the content of that file was found right.
    var isVerified = false
  }
  private let state: Mutex<State>

  /// Looks at the file without opening it.
  /// - Throws: ``Failure`` (bad data) where it is missing or has another size than the manifest says.
  init(directory: String, entry: CorpusManifest.Shard, formatVersion: Int) throws {
    let path = "\(directory)/\(entry.file)"
    guard let identity = FileIdentity(of: path) else {
      throw Failure(.badData, "the shard is missing", at: path, remedy: SealedFormat.corpusShard.remedy)
    }
    guard identity.size == entry.bytes else {
      throw Failure(
        .badData, "the shard has \(identity.size) bytes where the manifest says \(entry.bytes)", at: path,
        remedy: SealedFormat.corpusShard.remedy)
    }
    (self.path, self.entry, self.formatVersion) = (path, entry, formatVersion)
    state = Mutex(State(identity: identity))
  }

  /// Which file it was when it was last looked at.
  var currentIdentity: FileIdentity { state.withLock { $0.identity } }

  /// Reads the whole file and compares its digest with the manifest's.
  /// - Parameter didRead: called after each mebibyte; what it throws ends the reading.
  /// - Throws: ``Failure`` (bad data) where the file is damaged, another one, or changes meanwhile.
  func verify(didRead: () throws -> Void = {}) throws {
    let raw = try PosixFile(path)
    let found = try raw.identity()
    if formatVersion > 1 {
      try checkSeal(of: raw).verifyDigest(of: raw, didRead: didRead)
    } else if try raw.sha256(from: 0, didRead: didRead) != entry.sha256 {
      throw Failure(
        .badData, "the SHA-256 is not that of the manifest", at: path, remedy: SealedFormat.corpusShard.remedy)
    }
    guard FileIdentity(of: path) == found, try raw.identity() == found else { throw changed(nil) }
    state.withLock { $0 = State(identity: found, isVerified: true) }
  }

  /// As ``verify(didRead:)``, but a file that was found right and has not changed since is not read again.
  func ensureVerified(didRead: () throws -> Void) throws {
    let state = state.withLock { $0 }
    if state.isVerified, FileIdentity(of: path) == state.identity { return }
    try verify(didRead: didRead)
  }

  /// Whether the file is still the one that was found. Of one that was written to or replaced the content decides:
  /// where it is still that of the manifest the answer is no, and what was opened before must be opened again.
  /// - Throws: ``Failure`` (bad data) where the content is another.
  func checkUnchanged() throws -> Bool {
    guard FileIdentity(of: path) != currentIdentity else { return true }
    do {
      try verify()
    } catch let failure as Failure {
      throw changed(failure)
    }
    return false
  }

  /// Opens the dataset of token ids of a text corpus.
  /// - Throws: ``Failure`` or `H5Error` (bad data) where the file is not the shard that the manifest names.
  func open() throws -> H5Dataset { try open("tokens", count: entry.tokens, in: openFile()) }

  /// Opens the file.
  /// - Throws: ``Failure`` or `H5Error` (bad data) where it is not the shard that the manifest names.
  func openFile() throws -> H5File {
    var version = formatVersion
    if formatVersion > 1 { version = try checkSeal(of: PosixFile(path)).formatVersion }
    let file = try H5File.open(path)
    try CorpusManifest.checkFormat(of: file, at: path, CorpusManifest.shardFormat, version: version)
    return file
  }

  /// Opens a dataset of `count` unsigned integers.
  /// - Throws: ``Failure`` or `H5Error` (bad data) where it is another.
  func open(_ name: String, count: Int, in file: H5File) throws -> H5Dataset {
    let dataset = try file.openDataset(name)
    let shape = try dataset.shape()
    guard shape == [count] else {
      throw Failure(
        .badData, "has shape \(shape) where the manifest says [\(count)]", at: "\(path):/\(name)",
        remedy: SealedFormat.corpusShard.remedy)
    }
    guard [.uint8, .uint16, .uint32].contains(try dataset.elementType()) else {
      throw Failure(
        .badData, "does not hold unsigned integers", at: "\(path):/\(name)",
        remedy: SealedFormat.corpusShard.remedy)
    }
    return dataset
  }

  private func checkSeal(of raw: borrowing PosixFile) throws -> Seal {
    let seal = try Seal(of: raw, as: .corpusShard)
    guard seal.sha256 == entry.sha256 else {
      throw Failure(
        .badData, "is not the shard that the manifest names: its SHA-256 is another", at: path,
        remedy: SealedFormat.corpusShard.remedy)
    }
    return seal
  }

  private func changed(_ failure: Failure?) -> Failure {
    Failure(
      .badData, "the shard changed while it was in use", at: path, cause: failure?.what,
      remedy: "restore the corpus, and start again when nothing writes to it")
  }
}
