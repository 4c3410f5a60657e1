import Arena
import Testing

@Suite struct ParameterLayoutTests {
  private var layout: ParameterLayout {
    var layout = ParameterLayout()
    layout.append("a", [3, 5])
    layout.append("b", [16])
    layout.append("c", [17])
    return layout
  }

  @Test func parametersStartOnCacheLinesAndDoNotOverlap() {
    #expect(layout.parameters.map(\.range) == [0..<15, 16..<32, 32..<49])
    #expect(layout.count == 64)
    #expect(layout["b"]?.offset == 16 && layout["d"] == nil)
  }

  @Test func aStoreLaysThemOut() throws {
    let store = try ParameterStore(layout)
    store.floats("a")[14] = 2
    #expect(store.matrix("a")[2, 4] == 2)
    #expect(store.matrix("c").rows == 1 && store.matrix("c").columns == 17)
    #expect(store.values.count == 64)
    store.floats("c")[16] = 3
    #expect(store.values.buffer[48] == 3)
  }
}
