import Failures
import Kernels
import NumericSupport
import Parameters
import Testing

@Suite struct ArithmeticTests {
  @Test func theFastestIsTheLast() {
    #expect(Arithmetic.available.first?.instructionSet == .portable)
    #expect(Arithmetic.best == Arithmetic.available.last)
    #expect(Arithmetic.available.map(\.instructionSet) == InstructionSet.allCases.filter { Arithmetic($0) != nil })
  }

  @Test func anOptionPrevailsOverTheEnvironment() throws {
    let portable = ["LOCKSTEP_KERNELS": "portable"]
    #expect(try Arithmetic.requested(nil, environment: [:]) == .best)
    #expect(try Arithmetic.requested(nil, environment: ["LOCKSTEP_KERNELS": ""]) == .best)
    #expect(try Arithmetic.requested(nil, environment: portable).instructionSet == .portable)
    for arithmetic in Arithmetic.available {
      #expect(try Arithmetic.requested(arithmetic.instructionSet.rawValue, environment: portable) == arithmetic)
    }
  }

  @Test func whatIsNotThereIsRefusedNamingWhatIs() {
    func message(_ option: String?, _ environment: [String: String] = [:]) -> String? {
      do {
        _ = try Arithmetic.requested(option, environment: environment)
        return nil
      } catch {
        #expect((error as? Failure)?.exitStatus == .usage)
        return "\(error)"
      }
    }
    let present = Arithmetic.available.reversed().map(\.instructionSet.rawValue).joined(separator: ", ")
    #expect(message("sse9")?.contains("--kernels") == true && message("sse9")?.contains(present) == true)
    #expect(message(nil, ["LOCKSTEP_KERNELS": "AVX2"])?.contains("LOCKSTEP_KERNELS") == true)
    for missing in InstructionSet.allCases where Arithmetic(missing) == nil {
      #expect(message(missing.rawValue)?.contains(present) == true)
    }
  }

  @Test func precisionsThatAreNotThereAreRefusedByName() throws {
    let portable = try #require(Arithmetic(.portable))
    try portable.check(.f32, at: "training.precision")
    do {
      try portable.check(.bf16, at: "training.precision")
      Issue.record("no error was thrown")
    } catch {
      #expect((error as? Failure)?.exitStatus == .usage && "\(error)".contains("training.precision"))
    }
  }

  /// Whatever the width of the vectors, an element of a product is the same chains of fused multiply-adds.
  @Test(arguments: [(20, 650, 130), (97, 1700, 65), (5, 33, 7)])
  func fusedProductsHaveTheSameBits(rows: Int, inner: Int, outer: Int) throws {
    var found: Set<[UInt32]> = []
    for arithmetic in Arithmetic.available where arithmetic.instructionSet != .portable {
      try withScratch { scratch in
        let weight = try PackedWeight(rows: outer, columns: inner, arithmetic, needsBackward: false)
        weight.pack(try scratch.uniform(outer, inner))
        let y = try scratch.uniform(rows, outer)
        try Product(weight.forward).multiply(scratch.uniform(rows, inner), into: y, accumulating: true)
        found.insert(y.bits)
      }
    }
    #expect(found.count <= 1)
  }

  @Test func denormalsAreZero() {
    Arithmetic.flushDenormals()
    for arithmetic in Arithmetic.available {
      var sums: [Float] = [.nan, .nan, .nan]
      let least = Float.leastNormalMagnitude
      // A result that is denormal, operands that are, and neither.
      arithmetic.sum([1.5 * least, least / 2, least], [-least, least / 4, least], into: &sums, count: 3)
      #expect(sums == [0, 0, 2 * least])
    }
  }
}
