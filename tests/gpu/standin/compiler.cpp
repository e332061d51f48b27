// Stands between the program and NVIDIA's run-time compiler (libnvrtc.so): the real one compiles every kernel, as it
// would for a card, and g++ makes a library of the same text, which driver.cpp executes.
//
// STANDIN_NVRTC     the real library; without it kernels are only made for the processor
// STANDIN_KERNELS   the folder of one card, which keeps of each kernel its text (.cu), its options (.options), what the
//                   real compiler makes of it (.ptx), and the library (.so), by a digest of its text
// STANDIN_IDLE      libraries are made of so many kernels only: those that driver.cpp executes
// STANDIN_FAULT     compile:N refuses the N-th kernel, from 1

#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>

#define EXPORTED extern "C" __attribute__((visibility("default"))) int

enum Result { FINE = 0, REFUSED = 6 };

struct Program { std::string text, ptx, log; };

static std::string variable(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static std::string own_folder() {
    Dl_info info;
    dladdr((void *)own_folder, &info);
    std::string path = info.dli_fname;
    return path.substr(0, path.rfind('/'));
}

static std::string digest(const std::string &text) {
    uint64_t forward = 0xcbf29ce484222325, backward = forward;
    for (size_t i = 0; i < text.size(); i++) {
        forward = (forward ^ (unsigned char)text[i]) * 0x100000001b3;
        backward = (backward ^ (unsigned char)text[text.size() - 1 - i]) * 0x100000001b3;
    }
    char digits[33];
    snprintf(digits, sizeof digits, "%016lx%016lx", forward, backward);
    return digits;
}

static void write(const std::string &path, const std::string &text) {
    std::string own = path + "." + std::to_string(getpid());
    std::ofstream(own) << text;
    rename(own.c_str(), path.c_str());
}

static std::string read(const std::string &path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// ---- The real compiler.

static void *real() {
    static void *library = [] {
        std::string path = variable("STANDIN_NVRTC", "");
        void *opened = path.empty() ? nullptr : dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!path.empty() && !opened) fprintf(stderr, "stand-in: %s\n", dlerror());
        return opened;
    }();
    return library;
}

template <class... Arguments> static int call(const char *name, Arguments... arguments) {
    return ((int (*)(Arguments...))dlsym(real(), name))(arguments...);
}

typedef void *RealProgram;

// The text that a pair of functions gives: one its size with a final zero, the other its bytes.
static std::string text_of(RealProgram program, const char *size_of, const char *get) {
    size_t size = 0;
    call(size_of, program, &size);
    std::string text(size, 0);
    call(get, program, &text[0]);
    while (!text.empty() && !text.back()) text.pop_back();
    return text;
}

static int compile_for_card(Program &program, const std::string &path, int n_options, const char *const *options) {
    // Another process has compiled it: a folder is for one card.
    if (!access((path + ".ptx").c_str(), R_OK)) return program.ptx = read(path + ".ptx"), FINE;
    RealProgram compiled = nullptr;
    const char *none = nullptr;
    const char *const *no_list = nullptr;
    call("nvrtcCreateProgram", &compiled, program.text.c_str(), none, 0, no_list, no_list);
    int code = call("nvrtcCompileProgram", compiled, n_options, options);
    if (code) program.log = text_of(compiled, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog");
    else program.ptx += text_of(compiled, "nvrtcGetPTXSize", "nvrtcGetPTX"), write(path + ".ptx", program.ptx);
    call("nvrtcDestroyProgram", &compiled);
    if (code) write(path + ".refused", program.log);
    return code;
}

// ---- The processor's compiler.

// The name after `__launch_bounds__(…)` and perhaps `__cluster_dims__(…)`.
static std::string kernel_name(const std::string &text) {
    size_t at = text.find("__launch_bounds__(");
    if (at == std::string::npos) return "";
    at = text.find(')', at) + 1;
    for (;;) {
        while (at < text.size() && isspace((unsigned char)text[at])) at++;
        if (text.compare(at, 17, "__cluster_dims__(")) break;
        at = text.find(')', at) + 1;
    }
    size_t end = at;
    while (end < text.size() && (isalnum((unsigned char)text[end]) || text[end] == '_')) end++;
    return text.substr(at, end - at);
}

// Whether threads of a block or a warp wait for each other.
static bool meets(const std::string &text) {
    for (const char *word : {"__sync", "__shfl", "_sync(", "wmma::"})
        if (text.find(word) != std::string::npos) return true;
    return false;
}

static int compile_for_processor(Program &program, const std::string &path) {
    if (!access((path + ".so").c_str(), R_OK)) return FINE;
    std::string name = kernel_name(program.text), own = path + "." + std::to_string(getpid());
    if (name.empty()) return program.log = "stand-in: no kernel in this text", REFUSED;
    std::ofstream(own + ".cpp") << "#include \"" << own_folder() << "/kernel.h\"\n#line 1 \"" << name << ".cu\"\n"
                                << program.text << "\nSTANDIN_KERNEL(" << name << ", " << meets(program.text) << ")\n";
    std::string command =
        variable("STANDIN_CXX", "g++") +
        " -std=c++17 -O2 -march=native -ffp-contract=off -fno-strict-aliasing -fno-math-errno -w -shared -fPIC -I" +
        own_folder() + "/include -o " + own + ".so " + own + ".cpp 2>" + own + ".log";
    bool is_made = !system(command.c_str());
    if (is_made) rename((own + ".so").c_str(), (path + ".so").c_str());
    else program.log = "stand-in: error: " + read(own + ".log").substr(0, 2000);
    unlink((own + ".log").c_str());
    if (is_made) unlink((own + ".cpp").c_str());
    return is_made ? FINE : REFUSED;
}

// ---- The functions of the library.

EXPORTED nvrtcVersion(int *major, int *minor) {
    if (real()) return call("nvrtcVersion", major, minor);
    return *major = 13, *minor = 0, FINE;
}
EXPORTED nvrtcCreateProgram(Program **program, const char *text, const char *, int, const char *const *,
                            const char *const *) {
    return *program = new Program{text, "", ""}, FINE;
}
EXPORTED nvrtcDestroyProgram(Program **program) {
    delete *program;
    return *program = nullptr, FINE;
}
EXPORTED nvrtcCompileProgram(Program *program, int n_options, const char *const *options) {
    static int n_compiled = 0;
    std::string fault = variable("STANDIN_FAULT", "");
    if (fault == "compile:" + std::to_string(++n_compiled)) {
        program->log = "kernel.cu(7): error: as the stand-in was asked to";
        return REFUSED;
    }
    std::string name = digest(program->text), path = variable("STANDIN_KERNELS", ".") + "/" + name, list;
    program->ptx = "// stand-in " + name + "\n";
    for (int i = 0; i < n_options; i++) list += std::string(options[i]) + "\n";
    write(path + ".cu", program->text);
    write(path + ".options", list);
    if (real())
        if (int code = compile_for_card(*program, path, n_options, options)) return code;
    std::string executed = variable("STANDIN_IDLE", "");
    return !executed.empty() && n_compiled > atoi(executed.c_str()) ? FINE : compile_for_processor(*program, path);
}
EXPORTED nvrtcGetProgramLogSize(Program *program, size_t *size) { return *size = program->log.size() + 1, FINE; }
EXPORTED nvrtcGetProgramLog(Program *program, char *log) {
    return memcpy(log, program->log.c_str(), program->log.size() + 1), FINE;
}
EXPORTED nvrtcGetPTXSize(Program *program, size_t *size) { return *size = program->ptx.size() + 1, FINE; }
EXPORTED nvrtcGetPTX(Program *program, char *ptx) {
    return memcpy(ptx, program->ptx.c_str(), program->ptx.size() + 1), FINE;
}
extern "C" __attribute__((visibility("default"))) const char *nvrtcGetErrorString(int result) {
    return result ? "refused" : "fine";
}
