# What is installed: the library, its headers, and how CMake and pkg-config find them. All paths are relative to these files,
# so that a tree may be moved, as a wheel is. A shared and a static build may share one prefix.
include(CMakePackageConfigHelpers)

if(LSTM_RT_PYTHON)
  # In the package lstm_rt; no version in the file name, since a wheel holds no links.
  set(install_library lstm_rt/lib)
  set(install_runtime lstm_rt) # of Windows, which looks for a module's libraries beside it
  set(install_include lstm_rt/include)
else()
  set(install_library "${CMAKE_INSTALL_LIBDIR}")
  set(install_runtime "${CMAKE_INSTALL_BINDIR}")
  set(install_include "${CMAKE_INSTALL_INCLUDEDIR}")
  set_target_properties(lstm_rt PROPERTIES VERSION "${PROJECT_VERSION}" SOVERSION "${PROJECT_VERSION_MAJOR}")
endif()
set(install_cmake "${install_library}/cmake/lstm_rt")
if(BUILD_SHARED_LIBS)
  set(kind shared)
else()
  set(kind static)
endif()

install(FILES src/include/lstm_rt.h src/include/lstm_rt.hpp DESTINATION "${install_include}")
set_target_properties(lstm_rt PROPERTIES EXPORT_NAME ${kind})
install(TARGETS lstm_rt EXPORT ${kind}
        LIBRARY DESTINATION "${install_library}"
        ARCHIVE DESTINATION "${install_library}"
        RUNTIME DESTINATION "${install_runtime}"
        INCLUDES DESTINATION "${install_include}")

# ---- find_package(lstm_rt) ----
install(EXPORT ${kind} NAMESPACE lstm_rt:: FILE lstm_rt-${kind}.cmake DESTINATION "${install_cmake}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/lstm_rt-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES src/package/lstm_rt-config.cmake "${PROJECT_BINARY_DIR}/lstm_rt-config-version.cmake"
        DESTINATION "${install_cmake}")

# ---- pkg-config ----
file(RELATIVE_PATH prefix_from_pc "/p/${install_library}/pkgconfig" /p)
string(REGEX REPLACE "/$" "" prefix_from_pc "${prefix_from_pc}")
set(private_libraries ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES}) # what the C++ inside needs of a C linker: its library and libm
list(FILTER private_libraries INCLUDE REGEX "^(stdc\\+\\+|c\\+\\+|c\\+\\+abi|m)$")
list(REMOVE_DUPLICATES private_libraries)
list(APPEND private_libraries ${libatomic})
list(TRANSFORM private_libraries PREPEND "-l")
list(JOIN private_libraries " " private_libraries)
configure_file(src/package/lstm_rt.pc.in lstm_rt.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/lstm_rt.pc" DESTINATION "${install_library}/pkgconfig")
