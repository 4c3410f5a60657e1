import Configuration
import Foundation
import TestSupport
import Testing

@Suite struct LoadingTests {
  @Test func defaultsHoldWhereNothingIsGiven() throws {
    let configuration = try load(minimal)
    #expect(configuration.model.cell == .lstm)
    #expect(configuration.model.embeddingSize == 8)
    #expect(configuration.model.initialization == .uniform)
    #expect(configuration.training.gradientShards == 8)
    #expect(configuration.training.length == .epochs(2))
    #expect(configuration.training.precision == .f32)
    #expect(configuration.optimizer.learningRate == 1e-3)
    #expect(configuration.schedule.totalSteps == nil)
  }

  @Test func theExampleOfTheDesignIsRead() throws {
    let configuration = try load(
      """
      model:        {cell: lstm, layers: 2, hidden_size: 650, embedding_size: 650, tie_weights: false, dropout: 0.5,
                     forget_bias: 0.0, initial_range: 0.05}
      data:         {corpus: corpora/ptb, streams: 20, window: 35}
      optimizer:    {name: sgd, learning_rate: 1.0, momentum: 0.0}
      schedule:     {name: step_decay, factor: 0.8, after_epoch: 6}
      training:     {epochs: 39, loss_reduction: window_sum, clip_norm: 5.0, gradient_shards: 4, exchange: tree,
                     precision: f32, seed: 1, validate_every: 0, checkpoint_every: 500}
      run:          {directory: runs/zaremba-medium, keep: 3}
      """)
    #expect(configuration.model.dropout == 0.5)
    #expect(configuration.model.initialRange == 0.05)
    #expect(configuration.data.corpus == "corpora/ptb")
    #expect(configuration.schedule.name == .stepDecay)
    #expect(configuration.schedule.afterEpoch == 6)
    #expect(configuration.training.lossReduction == .windowSum)
    #expect(configuration.training.gradientShards == 4)
    #expect(configuration.run.keep == 3)
  }

  @Test(arguments: [
    ("sgd", 1e-3, 0.0), ("adam", 1e-3, 1e-8), ("rmsprop", 1e-2, 1e-8), ("adagrad", 1e-2, 1e-10),
  ])
  func optimisersHaveTheDefaultsOfPyTorch(name: String, learningRate: Double, epsilon: Double) throws {
    let optimizer = try load(minimal, "optimizer.name=\(name)").optimizer
    #expect(optimizer.learningRate == learningRate)
    #expect(optimizer.epsilon == epsilon)
    #expect(optimizer.beta1 == 0.9 && optimizer.beta2 == 0.999 && optimizer.alpha == 0.99)
    #expect(optimizer.weightDecay == 0 && optimizer.momentum == 0)
  }

  @Test func shardsAreNoMoreThanStreams() throws {
    #expect(try load(minimal, "data.streams=1").training.gradientShards == 1)
    #expect(try load(minimal, "data.streams=7").training.gradientShards == 7)
    #expect(try load(minimal, "data.streams=33").training.gradientShards == 8)
  }

  @Test func anchorsAndAliasesWork() throws {
    let yaml = minimal.replacing("hidden_size: 8", with: "hidden_size: &size 12\n  embedding_size: *size")
    #expect(try load(yaml).model.embeddingSize == 12)
  }

  @Test func aFileIsReadFromDisk() throws {
    try withFile(Array(minimal.utf8)) { path in
      let configuration = try RunConfiguration(contentsOf: path, overrides: ["model.layers=3"])
      #expect(configuration.model.layers == 3)
      #expect(configuration.model.hiddenSize == 8)
    }
  }

  @Test func filesThatCannotBeReadAreNamed() throws {
    let missing = "/nonexistent/c.yaml"
    #expect(
      fileComplaint(missing)
        == "\(missing): cannot read the configuration: No such file or directory; check the path; recipes are in configs/"
    )
    let directory = NSTemporaryDirectory()
    #expect(fileComplaint(directory).contains("cannot read the configuration: Is a directory"))
    try withFile([]) { path in
      #expect(
        fileComplaint(path)
          == "\(path):1:1: there is no configuration in this file; start from one of the recipes in configs/")
    }
    try withFile(Array("model:\n  cell: ä".utf8) + [0xFF]) { path in
      #expect(fileComplaint(path) == "\(path):2:10: not UTF-8 text; save the file as UTF-8")
    }
    try withFile([UInt8](repeating: 0x20, count: 1 << 20 + 1)) { path in
      #expect(
        fileComplaint(path)
          == "\(path): larger than 1 MiB, so not a configuration; give the YAML file of a run")
    }
  }

  private func fileComplaint(_ path: String) -> String {
    do {
      _ = try RunConfiguration(contentsOf: path)
      return "no error"
    } catch {
      #expect(error.exitStatus == .usage)
      return error.description
    }
  }

  private func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
    let directory = try TemporaryDirectory()
    try body(directory.file("c.yaml", bytes))
  }
}
