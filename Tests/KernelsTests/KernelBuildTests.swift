import Arena
import CKernels
import Kernels
import NumericSupport
import Testing

/// The portable, AVX2 and AVX-512 builds against each other, on what the other tests run through the build in use.
@Suite struct KernelBuildTests {
  @Test func theBestBuildIsInUse() {
    #expect(InstructionSet.current == KernelBuild.all.last?.instructionSet)
    #expect(InstructionSet.portable.isAvailable)
    #expect(Set(KernelBuild.all.map(\.testDescription)).count == KernelBuild.all.count)
  }

  /// What each build makes of the same inputs, portable first.
  private func results(_ body: (ls_kernels, Scratch) throws -> [Float]) rethrows -> [[Float]] {
    try KernelBuild.all.map { build in try withScratch { try body(build.table, $0) } }
  }

  private func expectAgreement(_ results: [[Float]], _ tolerance: Float) {
    for other in results.dropFirst() {
      #expect(zip(results[0], other).allSatisfy { abs($0 - $1) <= tolerance })
    }
  }

  @Test(arguments: [1, 7, 33, 65], [1, 7, 33, 100]) func weightGradients(outputs m: Int, inputs n: Int) throws {
    let found = try results { table, scratch in
      let list = (0..<Int32(40)).map { $0 * 7 % 40 }
      let ends: [Int32] = [5, 17, 17, 30, 40]
      let (a, b) = (try scratch.uniform(40, m), try scratch.uniform(40, n))
      let (out, bias) = (try scratch.zeros(m, n), try scratch.zeros(1, m))
      let memory = try scratch.zeros(1, ls_weight_gradient_scratch(40, Int32(n)))
      list.withUnsafeBufferPointer { list in
        ends.withUnsafeBufferPointer { ends in
          var job = ls_weight_gradient_job(
            a: a.pointer, a_stride: m, b: b.pointer, b_stride: n, m: Int32(m), n: Int32(n), rows: list.baseAddress!,
            shard_ends: ends.baseAddress!, shards: 5, accumulate: 0, out: out.pointer, out_stride: n,
            bias: bias.pointer)
          table.weight_gradient(&job, memory.pointer)
        }
      }
      return out.values + bias.values
    }
    expectAgreement(found, 1e-5)
    // One chain of fused multiply-adds an element, whatever the width of the vectors.
    if found.count == 3 { #expect(found[1].map(\.bitPattern) == found[2].map(\.bitPattern)) }
  }

  @Test(arguments: [1, 7, 16, 33, 1000]) func softmax(vocabulary: Int) throws {
    let found = try results { table, scratch in
      let (logits, bias) = (try scratch.uniform(1, vocabulary, range: 8), try scratch.uniform(1, vocabulary))
      let scored = try scratch.copy(logits)
      let loss = table.softmax_gradient(logits.pointer, bias.pointer, Int32(vocabulary), Int32(vocabulary / 2))
      let alone = table.softmax_loss(scored.pointer, bias.pointer, Int32(vocabulary), Int32(vocabulary / 2))
      #expect(alone == loss)
      return logits.values + [Float(loss)]
    }
    expectAgreement(found, 2e-6)
  }

  @Test(arguments: [1, 7, 16, 33]) func lstm(hidden h: Int) throws {
    expectAgreement(
      try results { table, scratch in
        let (gates, bias) = (try scratch.uniform(2, 4 * h, range: 3), try scratch.uniform(1, 4 * h))
        let (before, cell, out) = (try scratch.uniform(2, h), try scratch.zeros(2, h), try scratch.zeros(2, h))
        let (dOutput, dHidden, dCell) = (
          try scratch.uniform(2, h), try scratch.uniform(2, h), try scratch.uniform(2, h)
        )
        var step = ls_lstm_step(
          rows: 2, hidden: Int32(h), gates: gates.pointer, bias: bias.pointer, cell_before: before.pointer,
          cell: cell.pointer, hidden_out: out.pointer, d_output: dOutput.pointer, d_hidden: dHidden.pointer,
          d_cell: dCell.pointer)
        table.lstm_forward(&step)
        let forward = gates.values + cell.values + out.values
        table.lstm_backward(&step)
        return forward + gates.values + dCell.values
      }, 2e-6)
  }

  @Test(arguments: [1, 7, 16, 33]) func gru(hidden h: Int) throws {
    expectAgreement(
      try results { table, scratch in
        let (x, r) = (try scratch.uniform(2, 3 * h, range: 3), try scratch.uniform(2, 3 * h, range: 3))
        let (inputBias, hiddenBias) = (try scratch.uniform(1, 3 * h), try scratch.uniform(1, 3 * h))
        let (before, out, reset) = (try scratch.uniform(2, h), try scratch.zeros(2, h), try scratch.zeros(2, h))
        let (dOutput, dHidden, dReset) = (
          try scratch.uniform(2, h), try scratch.uniform(2, h), try scratch.uniform(2, h)
        )
        let dBefore = try scratch.zeros(2, h)
        let again = try scratch.copy(x)
        func step(_ gates: MatrixView) -> ls_gru_step {
          ls_gru_step(
            rows: 2, hidden: Int32(h), input_gates: gates.pointer, hidden_gates: r.pointer,
            input_bias: inputBias.pointer, hidden_bias: hiddenBias.pointer, hidden_before: before.pointer,
            hidden_out: out.pointer, reset_hidden: reset.pointer, d_output: dOutput.pointer,
            d_hidden: dHidden.pointer, d_hidden_before: dBefore.pointer, d_reset_hidden: dReset.pointer)
        }
        var values: [Float] = []
        var after = step(x)
        for kernel in [table.gru_after_forward, table.gru_after_backward] {
          kernel(&after)
          values += x.values + r.values + out.values + dBefore.values
        }
        var resetBefore = step(again)
        for kernel in [
          table.gru_before_forward_gates, table.gru_before_forward_output, table.gru_before_backward_output,
          table.gru_before_backward_gates,
        ] {
          kernel(&resetBefore)
          values += again.values + reset.values + out.values + dBefore.values
        }
        return values
      }, 3e-6)
  }

  @Test(arguments: [LS_TANH, LS_RELU, LS_SIGMOID], [1, 7, 16, 33]) func elman(_ activation: ls_activation, n: Int)
    throws
  {
    expectAgreement(
      try results { table, scratch in
        let (values, bias) = (try scratch.uniform(2, n, range: 3), try scratch.uniform(1, n))
        let (dOutput, dHidden, d) = (try scratch.uniform(2, n), try scratch.uniform(2, n), try scratch.zeros(2, n))
        table.elman_forward(values.pointer, bias.pointer, 2, Int32(n), activation)
        table.elman_backward(d.pointer, values.pointer, dOutput.pointer, dHidden.pointer, 2 * n, activation)
        return values.values + d.values
      }, 2e-6)
  }

  @Test(arguments: [1, 7, 16, 33]) func updateRules(count: Int) throws {
    expectAgreement(
      try results { table, scratch in
        var settings = ls_update_settings()
        settings.learning_rate = 0.1
        settings.gradient_scale = 0.5
        settings.weight_decay = 0.01
        settings.momentum = 0.9
        settings.beta1_complement = 0.1
        settings.beta2 = 0.99
        settings.beta2_complement = 0.01
        settings.alpha = 0.99
        settings.alpha_complement = 0.01
        settings.epsilon = 1e-8
        settings.bias_correction1 = 0.1
        settings.bias_correction2_root = 0.1
        let gradient = try scratch.uniform(1, count)
        var values: [Float] = []
        func update(_ body: (MatrixView, MatrixView, MatrixView) -> Void) throws {
          let (weights, first, second) = (
            try scratch.uniform(1, count), try scratch.zeros(1, count), try scratch.zeros(1, count)
          )
          body(weights, first, second)
          values += weights.values + first.values + second.values
        }
        try update { w, _, _ in table.sgd(w.pointer, gradient.pointer, count, &settings) }
        try update { w, v, _ in table.momentum(w.pointer, gradient.pointer, v.pointer, count, &settings) }
        try update { w, m, v in table.adam(w.pointer, gradient.pointer, m.pointer, v.pointer, count, &settings) }
        try update { w, v, _ in table.rmsprop(w.pointer, gradient.pointer, v.pointer, count, &settings) }
        try update { w, v, _ in table.adagrad(w.pointer, gradient.pointer, v.pointer, count, &settings) }
        return values
      }, 2e-6)
  }
}
