import Configuration
import Foundation
import Testing

@Suite struct OverrideTests {
  @Test func anOverrideWinsOverTheFileAndTheLaterOverTheEarlier() throws {
    let configuration = try load(minimal, "model.hidden_size=33", "model.layers=3", "model.layers=4")
    #expect(configuration.model.hiddenSize == 33)
    #expect(configuration.model.embeddingSize == 33)
    #expect(configuration.model.layers == 4)
  }

  @Test func anOverrideCanGiveARequiredKey() throws {
    let yaml = minimal.replacing("  corpus: corpora/test", with: "  streams: 7")
    #expect(try load(yaml, "data.corpus=a b/#c: d=e").data.corpus == "a b/#c: d=e")
    #expect(try load(yaml, "data.corpus='null'").data.corpus == "null")
  }

  @Test func stepsOnTheCommandLineReplaceEpochsOfTheFile() throws {
    #expect(try load(minimal, "training.steps=20").training.length == .steps(20))
    #expect(try load(minimal, "training.steps=20", "training.epochs=null").training.length == .steps(20))
    #expect(
      complaint(minimal, "training.steps=20", "training.epochs=1")
        == "--set training.steps=20: both 'training.epochs' and 'training.steps' are given; keep one of them")
    #expect(
      complaint(minimal.replacing("epochs: 2", with: "epochs: 2\n  steps: 3"))
        == "c.yaml:7:10: both 'training.epochs' and 'training.steps' are given; keep one of them")
  }

  @Test func anotherChoiceDropsTheKeysOfTheFirst() throws {
    let yaml = minimal + "\noptimizer: {name: sgd, learning_rate: 2.0, momentum: 0.9}\nschedule: {name: plateau}\n"
    let optimizer = try load(yaml, "optimizer.name=adam", "optimizer.beta1=0.5").optimizer
    #expect(optimizer.name == .adam)
    #expect(optimizer.momentum == 0)
    #expect(optimizer.beta1 == 0.5)
    #expect(optimizer.learningRate == 2)
    #expect(
      complaint(yaml, "optimizer.name=adam", "optimizer.momentum=0.5")
        == "--set optimizer.momentum=0.5: 'optimizer.momentum' does not belong to optimizer.name 'adam'; "
        + "remove it, or choose sgd")
  }

  @Test(arguments: [
    ("model.layer=3", "unknown key 'layer' in section 'model'; did you mean 'layers'?"),
    ("modl.layers=3", "unknown section 'modl'; did you mean 'model'?"),
    ("layers=3", "unknown section 'layers'; this key belongs in section 'model'"),
    ("model.layers", "an override needs a value; write --set model.layers=VALUE"),
    ("", "an override needs a value; write --set =VALUE"),
    ("model.layers=", "'model.layers' has no value; give an integer from 1 to 256, or null to remove it"),
    ("model.layers=x", "'model.layers' cannot be 'x'; give an integer from 1 to 256"),
    ("model.layers=[1]", "'model.layers' cannot be '[1]'; give an integer from 1 to 256"),
    ("model.layers=\"3\"", "'model.layers' cannot be the quoted text '3'; remove the quotes"),
    ("model.cell=lst", "'model.cell' cannot be 'lst'; give one of lstm, gru, elman"),
    ("data.streams=0", "'data.streams' cannot be '0'; give an integer from 1 to 1000000"),
    (
      "model.tie_weights=true",
      "'model.tie_weights' needs equal sizes, but 'model.embedding_size' is 7 and 'model.hidden_size' is 8; "
        + "make them equal, or set tie_weights to false"
    ),
    (
      "training.gradient_shards=21",
      "'training.gradient_shards' is 21, but there are only 20 streams; give at most as many shards as 'data.streams'"
    ),
  ])
  func mistakesNameTheArgument(argument: String, message: String) {
    let yaml = minimal.replacing("hidden_size: 8", with: "hidden_size: 8\n  embedding_size: 7")
    #expect(complaint(yaml, argument) == "--set \(argument): \(message)")
  }

  @Test func aBatchHasPositionsForThirtyTwoBits() {
    #expect(
      complaint(minimal, "data.streams=100000", "data.window=50000")
        == "--set data.window=50000: 'data.window' × 'data.streams' is 5000000000 positions in a batch, more than "
        + "2147483647; make one of them smaller")
    #expect(complaint(minimal, "data.streams=100000", "data.window=20000") == "no error")
  }

  @Test func theCosineIsCheckedAgainstTheRun() {
    let cosine = minimal + "\nschedule: {name: cosine, warmup_steps: 100}\n"
    #expect(complaint(cosine) == "no error")
    let message = "c.yaml:9:40: 'schedule.warmup_steps' is 100, which leaves no step after the warm-up; "
    #expect(complaint(cosine, "training.steps=100").hasPrefix(message))
    #expect(complaint(cosine, "training.steps=101") == "no error")
    #expect(
      complaint(cosine, "schedule.minimum_rate=0.01")
        == "--set schedule.minimum_rate=0.01: 'schedule.minimum_rate' is 0.01, above 'optimizer.learning_rate', "
        + "which is 0.001; give at most the learning rate")
  }

  /// A shell leaves the tilde alone in such a word.
  @Test func aTildeStandsForTheHomeDirectory() throws {
    let home = NSHomeDirectory()
    #expect(try load(minimal, "run.directory=~/runs").run.directory == home + "/runs")
    #expect(try load(minimal.replacing("runs/test", with: "~/runs")).run.directory == home + "/runs")
    #expect(try load(minimal, "data.corpus=~name").data.corpus == "./~name")
  }
}
