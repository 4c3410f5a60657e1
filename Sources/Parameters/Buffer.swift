/// A fixed number of values of a plain type, which live as long as this object does.
///
/// `@unchecked Sendable`: the memory has no lock; only one worker at a time uses it.
package final class Buffer<Element: BitwiseCopyable>: @unchecked Sendable {
  package let values: UnsafeMutableBufferPointer<Element>

  package init(repeating value: Element, count: Int) {
    values = .allocate(capacity: count)
    values.initialize(repeating: value)
  }

  deinit { values.deallocate() }

  package var count: Int { values.count }

  package subscript(index: Int) -> Element {
    get { values[index] }
    set { values[index] = newValue }
  }

  package func fill(_ value: Element) { values.update(repeating: value) }
}
