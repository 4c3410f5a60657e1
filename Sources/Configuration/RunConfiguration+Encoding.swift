extension RunConfiguration {
  /// The whole configuration in effect, including defaults, as YAML; parsing it gives an equal value.
  ///
  /// Leaves out keys that do not apply (Adam's `beta1` with SGD) or have no value.
  package var yaml: String {
    var text = settings(inSection: nil).map { "\($0.name): \($0.value.yaml)\n" }.joined()
    for section in Self.sections {
      text += "\(section):\n"
      for (name, value) in settings(inSection: section) { text += "  \(name): \(value.yaml)\n" }
    }
    return text
  }

  /// The keys of a section (nil: the top level) that apply and have a value, in table order.
  ///
  /// Leaves out the default task.
  package func settings(inSection section: String?) -> [(name: String, value: ConfigurationValue)] {
    if section == nil, task == .languageModel { return [] }
    return settings(of: section)
  }

  private func settings(of section: String?) -> [(name: String, value: ConfigurationValue)] {
    Self.keys.compactMap { key in
      guard key.section == section, key.applies(to: self), let value = key.load(self) else { return nil }
      return (key.name, value)
    }
  }
}

/// One object per section, one member per key, as in the YAML form; numbers and Booleans keep their types.
extension RunConfiguration: Encodable {
  package func encode(to encoder: any Encoder) throws {
    var sections = encoder.container(keyedBy: Name.self)
    for (name, value) in settings(inSection: nil) { try sections.encode(value, forKey: Name(stringValue: name)) }
    for section in Self.sections {
      var members = sections.nestedContainer(keyedBy: Name.self, forKey: Name(stringValue: section))
      for (name, value) in settings(inSection: section) {
        try members.encode(value, forKey: Name(stringValue: name))
      }
    }
  }

  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}

extension ConfigurationValue: Encodable {
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .flag(let value): try container.encode(value)
    case .word(let text), .path(let text): try container.encode(text)
    }
  }
}
