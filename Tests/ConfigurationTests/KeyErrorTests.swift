import Configuration
import Testing

/// Messages are compared whole: place, what, remedy.
@Suite struct KeyErrorTests {
  @Test func anUnknownKeyNamesItsPlaceAndTheNearestOne() {
    #expect(
      complaint(minimal.replacing("hidden_size", with: "hiden_size"))
        == "c.yaml:2:3: unknown key 'hiden_size' in section 'model'; did you mean 'hidden_size'?")
    #expect(
      complaint("model:\n  hidden_size: 8\n  tieWeights: true\n")
        == "c.yaml:3:3: unknown key 'tieWeights' in section 'model'; did you mean 'tie_weights'?")
    #expect(
      complaint("model: {hidden_size: 8, lyaers: 3}")
        == "c.yaml:1:25: unknown key 'lyaers' in section 'model'; did you mean 'layers'?")
    #expect(
      complaint("training: {foo: 3}")
        == "c.yaml:1:12: unknown key 'foo' in section 'training'; the nearest known key is 'seed'; "
        + "'lockstep config' lists all")
  }

  @Test func aKeyInTheWrongSectionIsSentHome() {
    #expect(
      complaint("data:\n  dropout: 0.5\n")
        == "c.yaml:2:3: unknown key 'dropout' in section 'data'; this key belongs in section 'model'")
    #expect(
      complaint("layers: 2\n") == "c.yaml:1:1: unknown section 'layers'; this key belongs in section 'model'")
    #expect(
      complaint("run:\n  name: x\n")
        == "c.yaml:2:3: unknown key 'name' in section 'run'; this key belongs in section 'optimizer' or 'schedule'")
    #expect(
      complaint("data:\n  learning_rat: 1\n")
        == "c.yaml:2:3: unknown key 'learning_rat' in section 'data'; did you mean 'optimizer.learning_rate'?")
  }

  @Test func anUnknownSectionIsNamed() {
    #expect(complaint("modle: {layers: 2}") == "c.yaml:1:1: unknown section 'modle'; did you mean 'model'?")
    #expect(
      complaint("# a comment\nhyperparameters: {}")
        == "c.yaml:2:1: unknown section 'hyperparameters'; the sections are model, data, optimizer, schedule, "
        + "training, run")
  }

  @Test(arguments: [
    ("layers: two", "4:11", "'model.layers' cannot be 'two'; give an integer from 1 to 256"),
    ("layers: 0", "4:11", "'model.layers' cannot be '0'; give an integer from 1 to 256"),
    ("layers: 2.0", "4:11", "'model.layers' cannot be '2.0'; give an integer from 1 to 256"),
    ("layers: 010", "4:11", "'model.layers' cannot be '010'; give an integer from 1 to 256"),
    (
      "layers: 99999999999999999999", "4:11",
      "'model.layers' cannot be '99999999999999999999'; give an integer from 1 to 256"
    ),
    ("layers: '2'", "4:11", "'model.layers' cannot be the quoted text '2'; remove the quotes"),
    ("layers: [1, 2]", "4:11", "'model.layers' cannot be a list; give an integer from 1 to 256"),
    ("layers: {a: 1}", "4:11", "'model.layers' cannot be a mapping; give an integer from 1 to 256"),
    ("layers:", "4:10", "'model.layers' has no value; give an integer from 1 to 256, or remove the key"),
    ("layers: null", "4:11", "'model.layers' has no value; give an integer from 1 to 256, or remove the key"),
    ("dropout: 1.0", "4:12", "'model.dropout' cannot be '1.0'; give a number from 0 to below 1"),
    ("dropout: -0.1", "4:12", "'model.dropout' cannot be '-0.1'; give a number from 0 to below 1"),
    ("dropout: .nan", "4:12", "'model.dropout' cannot be '.nan'; give a number from 0 to below 1"),
    ("dropout: 1e999", "4:12", "'model.dropout' cannot be '1e999'; give a number from 0 to below 1"),
    ("tie_weights: maybe", "4:16", "'model.tie_weights' cannot be 'maybe'; give true or false"),
    ("cell: LSTM", "4:9", "'model.cell' cannot be 'LSTM'; give one of lstm, gru, elman"),
    ("initial_parameters: ''", "4:23", "'model.initial_parameters' cannot be ''; give a path"),
    (#"initial_parameters: "a\0b""#, "4:23", "'model.initial_parameters' cannot be 'a\0b'; give a path"),
  ])
  func aValueThatDoesNotFitIsNamed(line: String, place: String, message: String) {
    #expect(complaint("# comment\nmodel:\n  hidden_size: 8\n  \(line)\n") == "c.yaml:\(place): \(message)")
  }

  @Test func missingKeysAreNamed() {
    #expect(
      complaint("model:\n  layers: 2\n")
        == "c.yaml:1:1: 'model.hidden_size' is missing; add 'hidden_size' to section 'model': an integer from 1 to 65536"
    )
    #expect(
      complaint("model: {hidden_size: 8}")
        == "c.yaml:1:1: 'data.corpus' is missing; add 'corpus' to section 'data': a path")
    #expect(
      complaint(minimal.replacing("  epochs: 2", with: "  seed: 2"))
        == "c.yaml:5:1: neither 'training.epochs' nor 'training.steps' is given; add one of them to section 'training'")
  }

  @Test func keysOfAnotherOptimiserAreRefused() {
    #expect(
      complaint(minimal + "\noptimizer:\n  name: adam\n  momentum: 0.9\n")
        == "c.yaml:11:13: 'optimizer.momentum' does not belong to optimizer.name 'adam'; remove it, or choose sgd")
    #expect(
      complaint(minimal + "\noptimizer: {beta1: 0.9}")
        == "c.yaml:9:20: 'optimizer.beta1' does not belong to optimizer.name 'sgd'; remove it, or choose adam")
    #expect(
      complaint(minimal + "\noptimizer: {epsilon: 1e-8}")
        == "c.yaml:9:22: 'optimizer.epsilon' does not belong to optimizer.name 'sgd'; "
        + "remove it, or choose adam or rmsprop or adagrad")
    #expect(
      complaint(minimal + "\nschedule: {factor: 0.5}")
        == "c.yaml:9:20: 'schedule.factor' does not belong to schedule.name 'constant'; "
        + "remove it, or choose step_decay or plateau")
    #expect(complaint(minimal + "\noptimizer: {name: adam, momentum: 0.0}") == "no error")
    #expect(
      complaint(minimal.replacing("model:", with: "model:\n  activation: relu"))
        == "c.yaml:2:15: 'model.activation' does not belong to model.cell 'lstm'; remove it, or choose elman")
  }
}
