import CYaml
import Failures

/// Checks that the keys of a YAML text are scalars.
///
/// YAML allows lists, mappings and aliases as keys, and Yams compares keys by their whole content: a few lines of
/// nested
/// aliases take exponential time. Aliases as values cost nothing, since they are not copied.
enum YAMLKeys {
  /// - Throws: ``Failure`` for a key that is not a scalar, and for a merge key. Syntax errors are left to the parser.
  static func check(_ yaml: String, _ source: String) throws(Failure) {
    guard let fault = firstFault(in: yaml) else { return }
    throw Failure(.usage, fault.what, at: "\(source):\(fault.line):\(fault.column)", remedy: fault.remedy)
  }

  private struct Fault {
    let what: String
    let line: Int
    let column: Int
    let remedy: String
  }

  private static func firstFault(in yaml: String) -> Fault? {
    // Allocated, since the parser keeps pointers to itself.
    let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    defer { parser.deallocate() }
    guard yaml_parser_initialize(parser) == 1 else { return nil }
    defer { yaml_parser_delete(parser) }
    return ContiguousArray(yaml.utf8).withUnsafeBufferPointer { text in
      yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
      yaml_parser_set_input_string(parser, text.baseAddress, text.count)
      var walk = Walk()
      var event = yaml_event_t()
      while yaml_parser_parse(parser, &event) == 1, event.type != YAML_STREAM_END_EVENT {
        defer { yaml_event_delete(&event) }
        if let fault = walk.visit(event) { return fault }
      }
      yaml_event_delete(&event)
      return nil
    }
  }

  /// Tracks the position in the document from event to event.
  private struct Walk {
    private enum Place {
      case list, key, value
    }

    private var places: [Place] = []

    /// Returns what is wrong if the event is an invalid key.
    mutating func visit(_ event: yaml_event_t) -> Fault? {
      switch event.type {
      case YAML_SCALAR_EVENT, YAML_ALIAS_EVENT, YAML_SEQUENCE_START_EVENT, YAML_MAPPING_START_EVENT:
        if places.last == .key, let fault = fault(ofKey: event) { return fault }
        advance()
        if event.type == YAML_SEQUENCE_START_EVENT { places.append(.list) }
        if event.type == YAML_MAPPING_START_EVENT { places.append(.key) }
      case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: _ = places.popLast()
      default: break
      }
      return nil
    }

    private mutating func advance() {
      guard let last = places.popLast() else { return }
      places.append(last == .key ? .value : last == .value ? .key : .list)
    }

    private func fault(ofKey event: yaml_event_t) -> Fault? {
      let (line, column) = (Int(event.start_mark.line) + 1, Int(event.start_mark.column) + 1)
      guard event.type == YAML_SCALAR_EVENT else {
        return Fault(what: "a key is not a word", line: line, column: column, remedy: "write 'name: value'")
      }
      let scalar = event.data.scalar
      guard scalar.length == 2, scalar.style == YAML_PLAIN_SCALAR_STYLE, scalar.value[0] == UInt8(ascii: "<"),
        scalar.value[1] == UInt8(ascii: "<")
      else { return nil }
      return Fault(
        what: "merge keys (<<) are not supported", line: line, column: column, remedy: "write the keys out")
    }
  }
}
