import Kernels
import Parameters

extension RandomStream {
  /// A number in 0..<count.
  mutating func below(_ count: Int) -> Int {
    precondition(count > 0, "there is something to choose from")
    return min(count - 1, Int(nextUnit() * Double(count)))
  }

  /// A number of the range.
  mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

  /// One of the elements.
  mutating func pick<C: RandomAccessCollection>(_ elements: C) -> C.Element {
    elements[elements.index(elements.startIndex, offsetBy: below(elements.count))]
  }

  /// True with this probability.
  mutating func happens(_ probability: Double) -> Bool { nextUnit() < probability }
}
