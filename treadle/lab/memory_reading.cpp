// The two files of /proc.
#include "treadle/lab/memory_reading.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "treadle/lab/file_text.hpp"

namespace treadle::lab {
namespace {

double kibibytes(const std::string& text, std::string_view key) {
  return static_cast<double>(field_number(text, key).value_or(0)) * 1024;
}

std::string must_read(const std::string& path) {
  std::optional<std::string> text = file_text(path);
  if (!text) throw std::runtime_error("cannot read " + path);
  return *std::move(text);
}

}  // namespace

memory_reading read_memory() {
  const std::string own = must_read("/proc/self/status");
  const std::string all = must_read("/proc/meminfo");
  memory_reading now;
  now.address_space = kibibytes(own, "VmSize");
  now.resident = kibibytes(own, "VmRSS");
  now.page_tables = kibibytes(own, "VmPTE");
  now.kernel_stacks = kibibytes(all, "KernelStack");
  now.kernel_objects = kibibytes(all, "SUnreclaim");
  return now;
}

memory_reading operator-(const memory_reading& after, const memory_reading& before) {
  return {after.address_space - before.address_space, after.resident - before.resident,
          after.page_tables - before.page_tables, after.kernel_stacks - before.kernel_stacks,
          after.kernel_objects - before.kernel_objects};
}

nlohmann::json to_json_object(const memory_reading& from) {
  return {{"address_space", from.address_space},
          {"resident", from.resident},
          {"page_tables", from.page_tables},
          {"kernel_stacks", from.kernel_stacks},
          {"kernel_objects", from.kernel_objects}};
}

memory_reading memory_from_json(const nlohmann::json& from) {
  return {from.at("address_space").get<double>(), from.at("resident").get<double>(),
          from.at("page_tables").get<double>(), from.at("kernel_stacks").get<double>(),
          from.at("kernel_objects").get<double>()};
}

}  // namespace treadle::lab
