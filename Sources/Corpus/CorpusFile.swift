import Files
import HDF5

/// The files that a corpus is made of, told apart by what they say of themselves, not by their names.
package enum CorpusFile: Sendable {
  case manifest
  case shard

  /// The kind of a file; nil if it belongs to no corpus. Only a file without a seal is parsed for that: one of version 1, or
  /// one that was never finished.
  /// - Throws: ``Failure`` or `H5Error` (bad data) where it can't be opened.
  package init?(path: String) throws {
    if try Seal.isPresent(in: path, as: .corpusManifest) {
      self = .manifest
    } else if try Seal.isPresent(in: path, as: .corpusShard) {
      self = .shard
    } else {
      let bytes = try PosixFile(path)
      guard try CorpusManifest.hasNoSeal(bytes) || Seal.isPending(in: bytes) else { return nil }
      let file = try H5File.open(path)
      guard try file.hasAttribute("format") else { return nil }
      let format: String = try file.attribute("format")
      switch format {
      case CorpusManifest.format: self = .manifest
      case CorpusManifest.shardFormat: self = .shard
      default: return nil
      }
    }
  }
}
