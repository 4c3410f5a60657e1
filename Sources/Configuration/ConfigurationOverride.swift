import Failures

/// One `--set path.to.key=value` of the command line.
struct ConfigurationOverride {
  var key: ConfigurationKey
  /// nil: `null`, which takes the key out, so that its default holds.
  var given: GivenValue?

  /// Takes the argument apart at its first `=`.
  ///
  /// The value of a path key is taken as it stands, since a shell user may well have spaces, `#` or `:` in a path;
  /// other values are YAML scalars.
  ///
  /// - Throws: a ``Failure`` that names the argument if it has no `=` or the key does not exist.
  init(_ argument: String) throws(Failure) {
    let place = "--set \(argument)"
    guard let equals = argument.firstIndex(of: "=") else {
      throw Failure(.usage, "an override needs a value", at: place, remedy: "write --set \(argument)=VALUE")
    }
    let path = String(argument[..<equals])
    let text = String(argument[argument.index(after: equals)...])
    guard let key = RunConfiguration.keysByPath[path] else {
      guard let dot = path.firstIndex(of: ".") else { throw UnknownKey(name: path, section: nil).failure(at: place) }
      let section = String(path[..<dot])
      guard RunConfiguration.sections.contains(section) else {
        throw UnknownKey(name: section, section: nil).failure(at: place)
      }
      throw UnknownKey(name: String(path[path.index(after: dot)...]), section: section).failure(at: place)
    }
    self.key = key
    let isNull = text == "null" || text == "~"
    self.given = isNull ? nil : GivenValue(content: Self.content(of: text), place: place, isOverride: true)
  }

  private static func content(of text: String) -> GivenValue.Content {
    if text.isEmpty { return .nothing }
    // A shell has taken its quotes away; a pair that is left was meant for YAML.
    for quote in ["\"", "'"] where text.count >= 2 && text.hasPrefix(quote) && text.hasSuffix(quote) {
      return .scalar(String(text.dropFirst().dropLast()), isQuoted: true)
    }
    return .scalar(text, isQuoted: false)
  }
}
