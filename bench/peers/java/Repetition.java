/** What bench/measure.hpp has of the same name. */
final class Repetition {
  final double operations;
  final double wallSeconds;
  final double cpuSeconds;
  private final StringBuilder extra = new StringBuilder();

  Repetition(double operations, double wallSeconds, double cpuSeconds) {
    this.operations = operations;
    this.wallSeconds = wallSeconds;
    this.cpuSeconds = cpuSeconds;
  }

  Repetition with(String name, double value) {
    extra.append(", \"").append(name).append("\": ").append(value);
    return this;
  }

  String json() {
    return "{\"operations\": " + operations + ", \"wall_s\": " + wallSeconds + ", \"cpu_s\": "
        + cpuSeconds + extra + "}";
  }
}
