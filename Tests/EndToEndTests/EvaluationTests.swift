import Foundation
import Kernels
import TestSupport
import Testing

extension EndToEndTests {
  /// `evaluate` gives what the run's own validation gives, on any number of workers.
  @Suite struct EvaluationTests {
    @Test func evaluationIsInTheRunsPrecision() throws { try expectEvaluation(in: "f32") }

    @Test(.enabled(if: Arithmetic.best.computes(in: .bf16), "this processor has no bf16 instructions"))
    func evaluationOfARunInBF16IsInBF16() throws { try expectEvaluation(in: "bf16") }

    private func expectEvaluation(in precision: String) throws {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.configure(["training.precision": precision, "model.hidden_size": "64"])
      try workspace.succeed(["train", "run.yaml"])
      let losses = try workspace.read("run/metrics.jsonl").split(separator: "\n").compactMap { line in
        let row = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        return row?["valid_nats_per_token"] as? Double
      }
      let validation = try #require(losses.last)
      let evaluation = try workspace.succeed([
        "evaluate", "run", "--corpus", "corpus", "--split", "valid", "--streams", "7", "--json",
      ]).jsonObject()
      #expect(evaluation["computed_in"] as? String == precision)
      // Windows and shards are others, so the last bits of the sum may be, too; bf16 and f32 are 1e-5 apart.
      let nats = try #require(evaluation["nats_per_token"] as? Double)
      #expect(abs(nats - validation) < 1e-9, "\(nats), \(validation)")
    }

    @Test func moreThanEightWorkersChangeNoBit() throws {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.configure()
      try workspace.succeed(["train", "run.yaml"])
      let arguments = ["evaluate", "run", "--corpus", "corpus", "--streams", "13", "--json"]
      let alone = try workspace.succeed(arguments).standardOutput
      for workers in [2, 8, 9, 12] {
        #expect(try workspace.succeed(arguments, .threads(workers)).standardOutput == alone)
      }
    }
  }
}
