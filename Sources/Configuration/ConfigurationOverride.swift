import Failures

/// One `--set path.to.key=value` option.
struct ConfigurationOverride {
  var key: ConfigurationKey
  /// nil for `null`, which removes the key, so that its default applies.
  var given: GivenValue?

  /// Splits the argument at its first `=`.
  ///
  /// The value of a path key is taken literally, since paths may contain spaces, `#` or `:`; other values are YAML
  /// scalars.
  ///
  /// - Throws: ``Failure`` that names the argument if it has no `=` or the key does not exist.
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
    // The shell has removed its own quotes; a remaining pair is meant for YAML.
    for quote in ["\"", "'"] where text.count >= 2 && text.hasPrefix(quote) && text.hasSuffix(quote) {
      return .scalar(String(text.dropFirst().dropLast()), isQuoted: true)
    }
    return .scalar(text, isQuoted: false)
  }
}
