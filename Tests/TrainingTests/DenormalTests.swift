import Corpus
import Exchange
import Foundation
import Kernels
import Models
import TestSupport
import Testing
import Training

/// Moments of an optimiser fade where gradients stay zero; denormal ones would slow the step down.
@Suite struct DenormalTests {
  @Test func everyWorkersThreadTakesDenormalsForZero() throws {
    let architecture = LanguageArchitecture(
      .init(cell: .lstm, vocabularySize: 5, embeddingSize: 4, hiddenSize: 4, layers: 1))
    let sums = try onWorkers(3) { group in
      let (weights, _) = try PackedParameters.shared(by: group, architecture.layout, .best, needsBackward: true) { _ in
      }
      var sum = Float.nan
      weights.arithmetic.sum([.leastNormalMagnitude / 2], [.leastNormalMagnitude / 4], into: &sum, count: 1)
      return sum
    }
    #expect(sums == [0, 0, 0])
  }

  /// Rows of letters that only the first window has are left with gradients of zero for a thousand steps: Adam's first
  /// moment passes 0.9^830, the least normal number.
  @Test(arguments: [1, 3]) func momentsOfWordsThatOccurEarlyFadeToZero(workers: Int) throws {
    let bench = try Workbench()
    let text = bench.file("early.txt")
    try ("abcdefghijkl" + String(repeating: "ab", count: 5_000)).write(toFile: text, atomically: true, encoding: .utf8)
    _ = try CorpusBuilder(
      CorpusRecipe(
        texts: [text], splitting: .fractions(SplitFractions(parsing: "0.98,0.01,0.01")), tokenizer: .char, shards: 1,
        output: bench.file("early"))
    ).run()
    let configuration = try bench.configuration([
      "data.corpus=\(bench.file("early"))", "data.streams=3", "data.window=3", "model.hidden_size=8",
      "model.embedding_size=16", "model.layers=1", "model.dropout=0", "training.steps=1000",
      "training.gradient_shards=3",
    ])
    try train(configuration, workers: workers)
    let content = try CheckpointContent(checkpoint(bench.file("run"), step: 1000))
    for (name, bits) in content.tensors {
      #expect(!bits.contains { Float(bitPattern: $0).isSubnormal }, "\(name)")
    }
    let moments = try #require(content.tensors["exp_avg/encoder.weight"])
    #expect(moments.contains { Float(bitPattern: $0) == 0 } && moments.contains { Float(bitPattern: $0) != 0 })
  }
}
