import Corpus
import Failures
import Foundation
import TestSupport
import Testing
import Training
import Workers

/// The digests of a corpus's shards, compared at each start.
@Suite struct CorpusVerificationTests {
  /// Flips a bit where HDF5 doesn't look: in the first block, or in the name of an attribute, as `place` says.
  private func damage(_ path: String, at place: Int) throws {
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[place < 0 ? bytes.count + place : place] ^= 2
    try bytes.write(to: URL(fileURLWithPath: path))
  }

  @Test func sharesAreDisjointCompleteAndEven() {
    let sizes = [9, 1, 1, 5, 5, 2, 40, 3]
    let shards: Set = [0, 1, 3, 4, 5, 7]
    for count in 1...8 {
      let shares = CorpusVerification.shares(of: shards, sizes: sizes, among: count)
      #expect(shares.count == count)
      #expect(shares.flatMap { $0 }.sorted() == shards.sorted())
    }
    let bytes = CorpusVerification.shares(of: shards, sizes: sizes, among: 2).map { $0.reduce(0) { $0 + sizes[$1] } }
    #expect(bytes.sorted() == [12, 13])
  }

  @Test(arguments: [1, 2, 3]) func workersOfOneMachineShareTheWork(workers: Int) throws {
    let bench = try Workbench(shards: 6)
    // Each worker names one shard; together they find the damage in any, whoever reads it.
    for damaged in [nil, "train-00000.h5", "train-00005.h5", "valid-00003.h5"] as [String?] {
      let path = damaged.map { "\(bench.corpus)/\($0)" }
      let intact = try path.map { try Data(contentsOf: URL(fileURLWithPath: $0)) }
      if let path { try damage(path, at: 505) }
      let outcome = Result {
        try onWorkers(workers) { group in
          let corpus = try CorpusReader(directory: bench.corpus)
          let tokens = corpus.tokenCount(.train)
          let own = group.rank * tokens / group.count..<(group.rank + 1) * tokens / group.count
          let verification = try CorpusVerification(
            group, corpus, reading: [(.train, own), (.valid, 0..<corpus.tokenCount(.valid))])
          try verification.settle()
          return verification.isSettled
        }
      }
      if let path, let intact {
        expectFailure(.badData, path, "don't match their own checksum") { try outcome.get() }
        try intact.write(to: URL(fileURLWithPath: path))
      } else {
        #expect(try outcome.get() == Array(repeating: true, count: workers))
      }
    }
  }

  /// Shards that nobody reads are not hashed: the test split is not part of training.
  @Test func onlyWhatIsReadIsHashed() throws {
    let bench = try Workbench()
    try damage("\(bench.corpus)/test-00000.h5", at: 505)
    try train(bench.configuration())
  }

  @Test(arguments: [1, 3]) func nothingIsWrittenBeforeAllDigestsAreRight(workers: Int) throws {
    let bench = try Workbench()
    for (index, file) in ["train-00001.h5", "valid-00000.h5"].enumerated() {
      let path = "\(bench.corpus)/\(file)"
      let intact = try Data(contentsOf: URL(fileURLWithPath: path))
      try damage(path, at: 505)
      for patience in [Duration.zero, .seconds(2)] {
        let run = "run-\(index)-\(patience == .zero)"
        expectFailure(.badData, file) {
          try onWorkers(workers) { group in
            try Trainer(
              group, configuration: bench.configuration(run: run), arithmetic: .best, logger: silentLogger,
              digestPatience: patience
            ).run()
          }
        }
        let written = (try? FileManager.default.subpathsOfDirectory(atPath: bench.file(run))) ?? []
        #expect(!written.contains { $0.hasSuffix(".h5") }, "\(written)")
      }
      try intact.write(to: URL(fileURLWithPath: path))
    }
  }
}
