# Installation: headers, both libraries, the CMake package, pkg-config, and the command.

include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/treadle/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/treadle
        FILES_MATCHING PATTERN "*.hpp"
        PATTERN "lab" EXCLUDE PATTERN "cli" EXCLUDE PATTERN "shim" EXCLUDE)
install(TARGETS treadle_static treadle_shared EXPORT treadle)
if(TARGET treadle_command)
  install(TARGETS treadle_command)
  install(TARGETS treadle_lab_pthreads DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/treadle)
endif()

set(treadle_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/treadle)
install(EXPORT treadle NAMESPACE treadle:: FILE treadleTargets.cmake
        DESTINATION ${treadle_package_dir})
configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/treadleConfig.cmake.in ${PROJECT_BINARY_DIR}/treadleConfig.cmake
  INSTALL_DESTINATION ${treadle_package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/treadleConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/treadleConfig.cmake
              ${PROJECT_BINARY_DIR}/treadleConfigVersion.cmake
        DESTINATION ${treadle_package_dir})

# The prefix is found from where treadle.pc lies, so that an installed tree can be moved.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX
           BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
           OUTPUT_VARIABLE treadle_pc_prefix)
configure_file(${PROJECT_SOURCE_DIR}/cmake/treadle.pc.in ${PROJECT_BINARY_DIR}/treadle.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/treadle.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
