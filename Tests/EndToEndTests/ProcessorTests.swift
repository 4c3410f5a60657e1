import Foundation
import Kernels
import TestSupport
import Testing

extension EndToEndTests {
  /// Which instruction set computes, and that processors with fewer run the same program to the same bits.
  @Suite struct ProcessorTests {
    private static let emulator: String? = ["/usr/bin/qemu-x86_64", "/usr/local/bin/qemu-x86_64"].first { path in
      access(path, X_OK) == 0
    }

    private func workspace() throws -> Workspace {
      let workspace = try Workspace()
      try workspace.prepare(characters: 1500)
      try workspace.configure(["training.steps": "5", "model.dropout": "0.2", "training.log_every": "1"])
      return workspace
    }

    private func run(
      _ command: [String], in workspace: Workspace, environment: [String: String] = [:]
    ) throws -> ChildProcess.Outcome {
      try ChildProcess.run(
        command[0], Array(command.dropFirst()),
        environment: ChildProcess.inheritedEnvironment.merging(Workspace.environment) { $1 }
          .merging(environment) { $1 },
        directory: workspace.path, deadline: .seconds(100))
    }

    private func train(_ directory: String, _ arguments: String...) -> [String] {
      ["lockstep", "train", "run.yaml", "--set", "run.directory=\(directory)"] + arguments
    }

    /// An instruction of AVX-512 in the kernels for AVX2 would not fault on a processor that has both.
    @Test(
      .enabled(if: emulator != nil, "qemu-x86_64 is not installed (package qemu-user)"),
      arguments: [("Haswell", InstructionSet.avx2), ("Nehalem", .portable)])
    func anOlderProcessorMakesTheSameBits(processor: String, instructionSet: InstructionSet) throws {
      let emulator = try #require(Self.emulator)
      let workspace = try workspace()
      for (cell, steps) in [("lstm", 5), ("gru", 2), ("elman", 2)] {
        let changes = ["--set", "model.cell=\(cell)", "--set", "training.steps=\(steps)"]
        let emulated = try run(
          [emulator, "-cpu", processor, ChildProcess.path(of: "lockstep")] + train("emulated-\(cell)").dropFirst()
            + changes, in: workspace)
        #expect(emulated.status == 0, "\(emulated.standardError)")
        #expect(emulated.standardError.contains("f32, \(instructionSet.name)"))
        // On a processor without AVX2 there is nothing to compare with.
        guard Arithmetic(instructionSet) != nil else { return }
        let native = try run(
          train("native-\(cell)", "--kernels", instructionSet.rawValue) + changes, in: workspace)
        #expect(native.weightDigest != nil && native.weightDigest == emulated.weightDigest, "\(cell)")
      }
    }

    @Test(.enabled(if: emulator != nil, "qemu-x86_64 is not installed (package qemu-user)"))
    func anOlderProcessorRefusesWhatItLacks() throws {
      let emulator = try #require(Self.emulator)
      let workspace = try workspace()
      func message(_ processor: String, _ arguments: String...) throws -> String {
        let outcome = try run(
          [emulator, "-cpu", processor, ChildProcess.path(of: "lockstep"), "train", "run.yaml"] + arguments,
          in: workspace)
        #expect(outcome.status == 64, "\(outcome.standardError)")
        return outcome.errorLines.joined(separator: "\n")
      }
      let kernels = try message("Nehalem", "--kernels", "avx2")
      #expect(kernels.contains("--kernels") && kernels.contains("can't run AVX2") && kernels.contains("portable"))
      let precision = try message("Haswell", "--set", "training.precision=bf16")
      #expect(precision.contains("training.precision") && precision.contains("AVX512_BF16"))
      #expect(!workspace.exists("run"))
    }

    @Test func theOptionAndTheEnvironmentChoose() throws {
      let workspace = try workspace()
      for arithmetic in Arithmetic.available {
        let name = arithmetic.instructionSet.rawValue
        let option = try run(
          train("option-\(name)", "--kernels", name), in: workspace, environment: ["LOCKSTEP_KERNELS": "nonsense"])
        let variable = try run(
          train("variable-\(name)"), in: workspace, environment: ["LOCKSTEP_KERNELS": name])
        for outcome in [option, variable] {
          #expect(outcome.standardError.contains("f32, \(arithmetic.instructionSet.name);"))
        }
        #expect(option.weightDigest != nil && option.weightDigest == variable.weightDigest)
        try workspace.succeed(["evaluate", "option-\(name)", "--corpus", "corpus", "--kernels", name])
        try workspace.succeed(["generate", "option-\(name)", "--length", "5", "--kernels", name])
        let benchmark = try workspace.succeed([
          "benchmark", "--hidden", "8", "--vocabulary", "9", "--steps", "1", "--warmup", "0", "--json", "--kernels",
          name,
        ])
        #expect(try benchmark.jsonObject()["instruction_set"] as? String == arithmetic.instructionSet.name)
      }
    }

    @Test(arguments: [
      ["train", "run.yaml"], ["evaluate", "run", "--corpus", "corpus"], ["generate", "run"], ["benchmark"],
    ])
    func anUnknownInstructionSetIsRefused(command: [String]) throws {
      let workspace = try workspace()
      let message = try workspace.fail(64, command + ["--kernels", "sse9"])
      #expect(message.contains("--kernels") && message.contains("sse9") && message.contains("portable"))
      let variable = try run(["lockstep"] + command, in: workspace, environment: ["LOCKSTEP_KERNELS": "sse9"])
      #expect(variable.status == 64 && variable.errorLines.joined().contains("LOCKSTEP_KERNELS"))
    }
  }
}
