import Files

extension SealedFormat {
  /// The manifest of a corpus.
  package static let corpusManifest = corpusFile("manifest")
  /// A file with tokens of a corpus.
  package static let corpusShard = corpusFile("shard")

  /// Version 1 had no seals: such a file begins with HDF5's signature.
  private static func corpusFile(_ noun: String) -> SealedFormat {
    SealedFormat(
      name: "lockstep corpus \(noun)", currentVersion: 2, noun: "corpus \(noun)",
      remedy: "restore the file, or run 'lockstep prepare' again")
  }
}
