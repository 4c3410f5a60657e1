import Failures
import Parameters
import Testing

@Suite struct FloatBufferTests {
  @Test(arguments: [0, 1, 15, 16, 1000, 600_000]) func isZeroedAndAligned(count: Int) throws {
    let buffer = try FloatBuffer(count: count)
    #expect(buffer.count == count && buffer.buffer.count == count)
    #expect(buffer.buffer.allSatisfy { $0 == 0 })
    #expect(UInt(bitPattern: buffer.pointer) % 64 == 0)
  }

  @Test(arguments: [Int.max, Int.max / 4, 1 << 56]) func refusesAbsurdSizesWithAnError(count: Int) {
    #expect { try FloatBuffer(count: count) } throws: { error in
      (error as? Failure)?.exitStatus == .softwareFault && "\(error)".contains("\(count) floats")
    }
  }

  @Test func slicesAndMatricesShareTheMemory() throws {
    let buffer = try FloatBuffer(count: 20)
    buffer.fill(1)
    let matrix = buffer.matrix(3, 4, offset: 2)
    matrix[2, 3] = 5
    #expect(buffer.buffer[13] == 5 && buffer[12..<15].contains(5))
    #expect(matrix.rows(1..<3)[1, 3] == 5 && matrix.columns(3..<4)[2, 0] == 5)
    #expect(matrix.isDense && !matrix.columns(0..<2).isDense && matrix.columns(0..<2).rows(0..<1).isDense)
  }

  @Test func aMatrixIsCopiedRowByRow() throws {
    let buffer = try FloatBuffer(count: 24)
    let source = buffer.matrix(3, 4)
    for row in 0..<3 { for column in 0..<4 { source[row, column] = Float(10 * row + column) } }
    let destination = buffer.matrix(3, 2, offset: 16)
    destination.update(from: source.columns(1..<3))
    #expect(Array(buffer[16..<22]) == [1, 2, 11, 12, 21, 22])
  }
}
