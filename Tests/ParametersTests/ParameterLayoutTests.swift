import Parameters
import Testing

@Suite struct ParameterLayoutTests {
  private var layout: ParameterLayout {
    var layout = ParameterLayout()
    _ = layout.declare("a", [3, 5], .table)
    _ = layout.declare("b", [16], .bias)
    _ = layout.declare("c", [17], .bias)
    return layout
  }

  @Test func parametersStartOnCacheLinesAndDoNotOverlap() {
    #expect(layout.parameters.map(\.range) == [0..<15, 16..<32, 32..<49])
    #expect(layout.count == 64)
    #expect(layout["b"]?.offset == 16 && layout["d"] == nil)
  }

  @Test func aStoreLaysThemOut() throws {
    let store = try ParameterStore(layout)
    let (a, c) = (layout.parameters[0], layout.parameters[2])
    store[a][14] = 2
    #expect(store.matrix(a)[2, 4] == 2)
    #expect(store.matrix(c).rows == 1 && store.matrix(c).columns == 17)
    #expect(store.values.count == 64)
    store[c][16] = 3
    #expect(store.values.buffer[48] == 3)
  }

  @Test func productOperandsArePackedAsAWholeOrInParts() {
    var layout = ParameterLayout()
    #expect(layout.declare("table", [6, 2], .table).packedRows.isEmpty)
    #expect(layout.declare("weight", [6, 2], .product).packedRows == [6])
    #expect(layout.declare("gates", [6, 2], .product, packedRows: [4, 2]).packedRows == [4, 2])
  }
}
