extension RunConfiguration {
  /// All keys as Markdown tables, one per section.
  package static var reference: String {
    ([nil] + sections).map { section in
      let rows = keys.filter { $0.section == section }.map { key in
        "| `\(key.name)` | \(key.form.description) | \(defaultText(key)) | \(key.meaning)\(conditionText(key)) |\n"
      }
      return
        "### \(section.map { "`\($0)`" } ?? "At the top")\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n"
        + rows.joined()
    }.joined(separator: "\n")
  }

  private static func defaultText(_ key: ConfigurationKey) -> String {
    switch key.fallback {
    case .initial: key.load(RunConfiguration()).map { "`\($0.yaml)`" } ?? ""
    case .required: "required"
    case .absent(let text), .derived(let text, _): text
    }
  }

  private static func conditionText(_ key: ConfigurationKey) -> String {
    guard let condition = key.condition else { return "" }
    return " (only with `\(condition.selector)` \(condition.words.joined(separator: ", ")))"
  }
}
