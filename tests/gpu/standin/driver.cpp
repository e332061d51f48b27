// Stands in for NVIDIA's driver on a machine without a card (libcuda.so.1): device memory is memory of the processor,
// and kernels are the libraries that compiler.cpp has made of them. It also counts, and breaks what it is
// asked to break.
//
// STANDIN_KERNELS   the folder of compiled kernels
// STANDIN_CARDS     the number of cards; by default 1
// STANDIN_ARCH      the compute capability of the card, such as 90; by default 90
// STANDIN_IDLE      after so many launches kernels are not executed; memory, and what is read of it, is zero instead of
//                   NaN
// STANDIN_MEMORY    the memory of each card in bytes, with commas between those of several; by default 16 GiB
// STANDIN_COUNTS    a file to which the process appends one line of JSON when it ends
// STANDIN_SLOW      KIND:MS lets each upload or download take so many milliseconds
// STANDIN_FAULT     KIND:N breaks the N-th call of a kind, from 1: memory, module, launch, upload, download, sync; and
//                   "lost" is any call, after which the card is gone; KIND:N@CARD breaks that of another card than 0

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <mutex>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#define EXPORTED extern "C" __attribute__((visibility("default"))) int

typedef uint64_t DevicePointer;
typedef void *Opaque;

// Values of CUresult.
enum Result {
    FINE = 0,
    BAD_VALUE = 1,
    NO_MEMORY = 2,
    NO_DEVICE = 101,
    BAD_IMAGE = 200,
    BAD_CONTEXT = 201,
    OLD_PTX = 222,
    BAD_ADDRESS = 700,
    LAUNCH_FAILED = 719,
    GONE = 46
};

static const char *variable(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static int n_cards() {
    static int number = atoi(variable("STANDIN_CARDS", "1"));
    return number;
}

// The memory of a card: the last one of the list counts for all that follow.
static uint64_t capacity(int card) {
    const char *list = variable("STANDIN_MEMORY", "17179869184");
    for (const char *comma; card > 0 && (comma = strchr(list, ',')); card--) list = comma + 1;
    return strtoull(list, nullptr, 10);
}

// The launches that are executed, or -1 for all.
static long n_executed() {
    static long number = atol(variable("STANDIN_IDLE", "-1"));
    return number;
}

// ---- What happened, and what is to go wrong.

enum Kind { MEMORY, MODULE, LAUNCH, UPLOAD, DOWNLOAD, SYNC, N_KINDS };
static const char *const KIND_NAMES[N_KINDS] = {"memory", "module", "launch", "upload", "download", "sync"};
static const Result KIND_RESULTS[N_KINDS] = {NO_MEMORY, OLD_PTX, LAUNCH_FAILED, BAD_VALUE, BAD_ADDRESS, BAD_ADDRESS};
// After these, a real card fails in every later call, too.
static const bool KIND_LASTS[N_KINDS] = {false, false, true, false, true, true};

enum { MOST_CARDS = 16 };
struct Card { uint64_t calls[N_KINDS], all_calls, uploaded, downloaded, held, peak; Result broken; };
static Card cards[MOST_CARDS];
static std::recursive_mutex guard;

// A context, stream, event, module or function: each belongs to a card.
struct Owned { int card; };
// The card whose context is current on this thread, or -1.
static thread_local int current_card = -1;
static int current() { return current_card < 0 ? 0 : current_card; }
static int card_of(Opaque owned) { return owned ? ((Owned *)owned)->card : current(); }

// Never destroyed: the report is written after objects are.
static auto &launches_by_kernel = *new std::map<std::string, uint64_t>;

static Result counted(Kind kind, int number) {
    std::lock_guard<std::recursive_mutex> hold(guard);
    Card &card = cards[number];
    card.calls[kind]++, card.all_calls++;
    if (card.broken) return card.broken;
    static const std::string fault = variable("STANDIN_FAULT", "");
    size_t colon = fault.find(':');
    static const size_t at = fault.find('@');
    if (colon == std::string::npos || number != (at == std::string::npos ? 0 : atoi(fault.c_str() + at + 1)))
        return FINE;
    std::string name = fault.substr(0, colon);
    uint64_t n = strtoull(fault.c_str() + colon + 1, nullptr, 10);
    if (name == "lost" && card.all_calls >= n) return card.broken = GONE;
    // Memory that is full stays so: the framework tries twice.
    bool is_due = kind == MEMORY ? card.calls[kind] >= n : card.calls[kind] == n;
    if (name != KIND_NAMES[kind] || !is_due) return FINE;
    if (KIND_LASTS[kind]) card.broken = KIND_RESULTS[kind];
    return KIND_RESULTS[kind];
}

__attribute__((destructor)) static void report() {
    const char *path = variable("STANDIN_COUNTS", "");
    FILE *file = *path ? fopen(path, "a") : nullptr;
    if (!file) return;
    Card sum = {};
    std::string line = "{\"launches\": [";
    const char *comma = "";
    for (int number = 0; number < n_cards(); number++) {
        const Card &card = cards[number];
        for (int kind = 0; kind < N_KINDS; kind++) sum.calls[kind] += card.calls[kind];
        sum.all_calls += card.all_calls, sum.uploaded += card.uploaded, sum.downloaded += card.downloaded;
        sum.held += card.held, sum.peak += card.peak;
        line += comma + std::to_string(card.calls[LAUNCH]), comma = ", ";
    }
    line += "], ";
    for (int kind = 0; kind < N_KINDS; kind++)
        line += "\"" + std::string(KIND_NAMES[kind]) + "\": " + std::to_string(sum.calls[kind]) + ", ";
    line += "\"calls\": " + std::to_string(sum.all_calls) + ", \"uploaded\": " + std::to_string(sum.uploaded);
    line += ", \"downloaded\": " + std::to_string(sum.downloaded);
    line += ", \"held\": " + std::to_string(sum.held) + ", \"peak\": " + std::to_string(sum.peak) + ", \"kernels\": {";
    comma = "";
    for (auto &kernel : launches_by_kernel)
        line += comma + ("\"" + kernel.first) + "\": " + std::to_string(kernel.second), comma = ", ";
    fprintf(file, "%s}}\n", line.c_str());
    fclose(file);
}

// ---- The device.

EXPORTED cuInit(unsigned) { return FINE; }
EXPORTED cuDriverGetVersion(int *version) { return *version = 13000, FINE; }
EXPORTED cuDeviceGetCount(int *count) { return *count = n_cards(), FINE; }
EXPORTED cuDeviceGet(int *device, int ordinal) { return ordinal < n_cards() ? (*device = ordinal, FINE) : NO_DEVICE; }
EXPORTED cuDeviceGetName(char *name, int length, int device) {
    return snprintf(name, length, "stand-in %d", device), FINE;
}
EXPORTED cuDeviceTotalMem_v2(size_t *bytes, int device) { return *bytes = capacity(device), FINE; }
EXPORTED cuGetErrorName(int result, const char **name) {
    switch (result) {
        case BAD_VALUE: *name = "CUDA_ERROR_INVALID_VALUE"; break;
        case NO_MEMORY: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
        default: *name = "CUDA_ERROR_UNKNOWN";
    }
    return FINE;
}
EXPORTED cuGetErrorString(int, const char **text) { return *text = "as the stand-in was asked to", FINE; }

// NVRTC asks for tables of functions that the driver keeps to itself, and calls what lies within the size that stands
// first.
EXPORTED cuGetExportTable(const void **table, const void *) {
    static const uint64_t empty[8] = {sizeof empty[0]};
    return *table = empty, FINE;
}

EXPORTED cuDeviceGetAttribute(int *value, int attribute, int) {
    int arch = atoi(variable("STANDIN_ARCH", "90"));
    // By the numbers of CUdevice_attribute: limits of blocks and grids, then the rest.
    switch (attribute) {
        case 1: case 2: case 3: *value = 1024; break;
        case 4: *value = 64; break;
        case 5: *value = 0x7fffffff; break;
        case 6: case 7: *value = 65535; break;
        case 8: *value = 48 << 10; break;
        case 10: *value = 32; break;
        case 16: *value = 100; break;
        case 75: *value = arch / 10; break;
        case 76: *value = arch % 10; break;
        case 97: *value = arch >= 90 ? 227 << 10 : arch >= 80 ? 163 << 10 : 64 << 10; break;
        default: *value = 0;
    }
    return FINE;
}

// ---- Contexts, streams and events: all work is done when a call returns, so there is nothing to wait for.

// A call on what belongs to a card needs its context.
static Result on_its_card(const char *what, int card) {
    if (card == current()) return cards[card].broken;
    return fprintf(stderr, "stand-in: %s of card %d in the context of card %d\n", what, card, current()), BAD_CONTEXT;
}
static Opaque contexts(int card) {
    static Owned all[MOST_CARDS];
    return all[card] = {card}, (Opaque)&all[card];
}
EXPORTED cuDevicePrimaryCtxRetain(Opaque *context, int device) {
    return *context = contexts(device), cards[device].broken;
}
EXPORTED cuDevicePrimaryCtxRelease_v2(int) { return FINE; }
EXPORTED cuCtxSetCurrent(Opaque context) { return current_card = context ? card_of(context) : -1, FINE; }
EXPORTED cuCtxGetCurrent(Opaque *context) {
    return *context = current_card < 0 ? nullptr : contexts(current_card), FINE;
}
EXPORTED cuCtxSynchronize() { return counted(SYNC, current()); }
EXPORTED cuStreamCreate(Opaque *stream, unsigned) { return *stream = new Owned{current()}, FINE; }
EXPORTED cuStreamSynchronize(Opaque stream) { return counted(SYNC, card_of(stream)); }
EXPORTED cuStreamWaitEvent(Opaque stream, Opaque, unsigned) { return cards[card_of(stream)].broken; }
EXPORTED cuStreamDestroy_v2(Opaque) { return FINE; }
EXPORTED cuEventCreate(Opaque *event, unsigned) { return *event = new Owned{current()}, FINE; }
EXPORTED cuEventRecord(Opaque event, Opaque stream) { return card_of(event) == card_of(stream) ? FINE : BAD_CONTEXT; }
EXPORTED cuEventSynchronize(Opaque event) { return counted(SYNC, card_of(event)); }
EXPORTED cuEventQuery(Opaque event) { return cards[card_of(event)].broken; }
EXPORTED cuEventDestroy_v2(Opaque event) { return delete (Owned *)event, FINE; }

// ---- Memory. What nothing has written is NaN, so that a read of it shows.

struct Block { size_t bytes; int card; };
static auto &blocks = *new std::map<DevicePointer, Block>;

static int allocate(DevicePointer *pointer, size_t bytes) {
    std::lock_guard<std::recursive_mutex> hold(guard);
    int number = current();
    Card &card = cards[number];
    if (Result result = counted(MEMORY, number)) return result;
    if (card.held + bytes > capacity(number)) return NO_MEMORY;
    void *block =
        mmap(nullptr, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) return NO_MEMORY;
    if (n_executed() < 0) memset(block, 0xff, bytes);
    *pointer = (DevicePointer)block;
    blocks[*pointer] = {bytes, number};
    card.held += bytes;
    card.peak = card.held > card.peak ? card.held : card.peak;
    return FINE;
}

// Whether memory is that of the card whose context is current.
static Result on_current_card(const char *what, const void *pointer) {
    std::lock_guard<std::recursive_mutex> hold(guard);
    auto block = blocks.upper_bound((DevicePointer)pointer);
    if (block == blocks.begin() || (--block)->first + block->second.bytes < (DevicePointer)pointer) return BAD_VALUE;
    return on_its_card(what, block->second.card);
}

static int give_back(DevicePointer pointer) {
    std::lock_guard<std::recursive_mutex> hold(guard);
    auto block = blocks.find(pointer);
    if (block == blocks.end()) return BAD_VALUE;
    munmap((void *)pointer, block->second.bytes ? block->second.bytes : 1);
    cards[block->second.card].held -= block->second.bytes;
    blocks.erase(block);
    return FINE;
}

EXPORTED cuMemAlloc_v2(DevicePointer *pointer, size_t bytes) { return allocate(pointer, bytes); }
EXPORTED cuMemAllocAsync(DevicePointer *pointer, size_t bytes, Opaque) { return allocate(pointer, bytes); }
EXPORTED cuMemFree_v2(DevicePointer pointer) { return give_back(pointer); }
EXPORTED cuMemFreeAsync(DevicePointer pointer, Opaque) { return give_back(pointer); }
EXPORTED cuMemAllocHost_v2(void **memory, size_t bytes) { return (*memory = malloc(bytes)) ? FINE : NO_MEMORY; }
EXPORTED cuMemFreeHost(void *memory) { return free(memory), FINE; }
EXPORTED cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    const Card &card = cards[current()];
    return *total = capacity(current()), *free_bytes = *total - card.held, card.broken;
}

static long n_launches();
// Whether results would be what uploads have left where kernels have written nothing.
static bool is_idle() { return n_executed() >= 0 && n_launches() > n_executed(); }

static void take_time(Kind kind) {
    static const std::string slow = variable("STANDIN_SLOW", "");
    size_t colon = slow.find(':');
    if (colon != std::string::npos && slow.substr(0, colon) == KIND_NAMES[kind])
        usleep(1000 * atol(slow.c_str() + colon + 1));
}

static int copied(Kind kind, void *to, const void *from, size_t bytes) {
    take_time(kind);
    if (Result result = counted(kind, current())) {
        // Kernels may follow before the program sees it. Indices of NaN would lead out of this process.
        if (kind == UPLOAD) memset(to, 0, bytes);
        return result;
    }
    if (bytes)
        if (Result result = on_current_card("a copy", kind == UPLOAD ? to : from)) return result;
    (kind == UPLOAD ? cards[current()].uploaded : cards[current()].downloaded) += bytes;
    if (kind == DOWNLOAD && is_idle()) memset(to, 0, bytes);
    else memcpy(to, from, bytes);
    return FINE;
}
EXPORTED cuMemcpyHtoDAsync_v2(DevicePointer to, const void *from, size_t bytes, Opaque) {
    return copied(UPLOAD, (void *)to, from, bytes);
}
EXPORTED cuMemcpyDtoHAsync_v2(void *to, DevicePointer from, size_t bytes, Opaque) {
    return copied(DOWNLOAD, to, (void *)from, bytes);
}
EXPORTED cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes, Opaque) {
    return memmove((void *)to, (void *)from, bytes), cards[current()].broken;
}
EXPORTED cuMemsetD8Async(DevicePointer to, unsigned char value, size_t bytes, Opaque) {
    return memset((void *)to, value, bytes), cards[current()].broken;
}

// CUDA_MEMCPY2D.
struct Side { size_t x, y; int kind; const void *host; DevicePointer device; Opaque array; size_t pitch; };
struct Copy { Side from, to; size_t width, height; };
enum { OF_HOST = 1 };
static char *row_of(const Side &side, size_t row) {
    char *start = side.kind == OF_HOST ? (char *)side.host : (char *)side.device;
    return start + (side.y + row) * side.pitch + side.x;
}
EXPORTED cuMemcpy2DAsync_v2(const Copy *copy, Opaque) {
    bool is_upload = copy->from.kind == OF_HOST;
    if (Result result = counted(is_upload ? UPLOAD : DOWNLOAD, current())) return result;
    if (copy->height > 1 && (copy->width > copy->from.pitch || copy->width > copy->to.pitch)) return BAD_VALUE;
    for (size_t row = 0; row < copy->height; row++) {
        if (!is_upload && is_idle()) memset(row_of(copy->to, row), 0, copy->width);
        else memcpy(row_of(copy->to, row), row_of(copy->from, row), copy->width);
    }
    (is_upload ? cards[current()].uploaded : cards[current()].downloaded) += copy->width * copy->height;
    return FINE;
}

// Bulk copies by descriptors are not executed here: no kernel of the program asks for them.
EXPORTED cuTensorMapEncodeTiled() { return 801; }
EXPORTED cuTensorMapEncodeIm2col() { return 801; }
EXPORTED cuTensorMapEncodeIm2colWide() { return 801; }

// ---- Kernels.

struct Triple { unsigned x, y, z; };
// The same as in kernel.h.
struct Place { Triple thread, block, block_size, grid; };
struct Meeting { void (*of_block)(); void (*of_warp)(); void *(*slot)(unsigned lane); unsigned (*lanes)(); };
struct Kernel : Owned {
    std::string name;
    void (*thread)(void **);
    void (*block)(void **);
    Place *place;
    Meeting *meeting;
    unsigned char *shared;
    size_t shared_bytes;
    bool meets;
};

static long n_launches() {
    long number = 0;
    for (const Card &card : cards) number += (long)card.calls[LAUNCH];
    return number;
}

EXPORTED cuModuleLoadData(Opaque *module, const void *image) {
    if (Result result = counted(MODULE, current())) return result;
    auto *kernel = new Kernel();
    kernel->card = current();
    // The first line of the text names the library.
    const char *mark = "// stand-in ", *text = (const char *)image;
    if (strncmp(text, mark, strlen(mark))) return BAD_IMAGE;
    text += strlen(mark);
    std::string digest(text, strcspn(text, "\n"));
    // Kernels that are never executed have no library.
    if (n_executed() < 0 || n_launches() < n_executed()) {
        std::string path = std::string(variable("STANDIN_KERNELS", ".")) + "/" + digest + ".so";
        void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!library) return fprintf(stderr, "stand-in: %s\n", dlerror()), BAD_IMAGE;
        kernel->thread = (void (*)(void **))dlsym(library, "standin_thread");
        kernel->block = (void (*)(void **))dlsym(library, "standin_block");
        kernel->place = (Place *)dlsym(library, "standin_place");
        kernel->meeting = (Meeting *)dlsym(library, "standin_meeting");
        kernel->shared = (unsigned char *)dlsym(library, "dynamic_shared_mem");
        kernel->shared_bytes = *(size_t *)dlsym(library, "standin_shared_bytes");
        kernel->meets = *(int *)dlsym(library, "standin_meets");
    }
    return *module = (Owned *)kernel, FINE;
}
EXPORTED cuModuleUnload(Opaque) { return FINE; }
EXPORTED cuModuleGetFunction(Opaque *function, Opaque module, const char *name) {
    static_cast<Kernel *>((Owned *)module)->name = name;
    return *function = module, FINE;
}
EXPORTED cuFuncSetAttribute(Opaque, int, int) { return FINE; }

// Threads of a block take turns: each has a stack, and gives way where it must meet others.

extern "C" void standin_switch(void **leave, void *enter);
asm(".text\n"
    ".type standin_switch,@function\n"
    "standin_switch:\n"
    "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  mov %rsp, (%rdi)\n"
    "  mov %rsi, %rsp\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n"
    "  ret\n"
    ".size standin_switch,.-standin_switch\n");

enum { MOST_THREADS = 1024, WARP = 32, STACK_BYTES = 192 << 10, SLOT_BYTES = 64 };
enum Turn : char { CAN_RUN, WAITS_FOR_WARP, WAITS_FOR_BLOCK, HAS_ENDED };

static char *stacks;
static void *scheduler, *paused[MOST_THREADS];
static Turn turns[MOST_THREADS];
static unsigned running, n_threads;
static char slots[MOST_THREADS][SLOT_BYTES];
static Kernel *kernel;
static void **arguments;

static void give_way(Turn turn) {
    unsigned self = running;
    turns[self] = turn;
    standin_switch(&paused[self], scheduler);
}
static void meet_block() { give_way(WAITS_FOR_BLOCK); }
static void meet_warp() { give_way(WAITS_FOR_WARP); }
static void *slot(unsigned lane) { return slots[running / WARP * WARP + lane]; }
static unsigned lanes() {
    unsigned first = running / WARP * WARP;
    return n_threads - first < WARP ? n_threads - first : WARP;
}
static void begin_thread() {
    kernel->thread(arguments);
    give_way(HAS_ENDED);
    abort();
}

static void enter(unsigned thread) {
    running = thread;
    Triple size = kernel->place->block_size;
    kernel->place->thread = {thread % size.x, thread / size.x % size.y, thread / size.x / size.y};
    standin_switch(&scheduler, paused[thread]);
}

// Lets all threads of a range that can run do so, until they wait or have ended.
static bool run_those_who_can(unsigned first, unsigned end) {
    bool any = false;
    for (unsigned thread = first; thread < end; thread++)
        if (turns[thread] == CAN_RUN) enter(thread), any = true;
    return any;
}

// Where all threads of a range that have not ended wait for the same, they go on.
static bool release(unsigned first, unsigned end, Turn waits) {
    unsigned n_waiting = 0, n_alive = 0;
    for (unsigned thread = first; thread < end; thread++) {
        n_waiting += turns[thread] == waits;
        n_alive += turns[thread] != HAS_ENDED;
    }
    if (n_waiting == 0 || n_waiting < n_alive) return false;
    for (unsigned thread = first; thread < end; thread++)
        if (turns[thread] == waits) turns[thread] = CAN_RUN;
    return true;
}

static bool run_block_that_meets() {
    for (unsigned thread = 0; thread < n_threads; thread++) {
        // As a call would leave it: six registers, the place to go on, and the stack where a function expects it.
        void **top = (void **)(stacks + (thread + 1) * STACK_BYTES - 64);
        *--top = nullptr;
        *--top = (void *)begin_thread;
        for (int i = 0; i < 6; i++) *--top = nullptr;
        paused[thread] = top;
        turns[thread] = CAN_RUN;
    }
    for (;;) {
        bool moved = false;
        for (unsigned first = 0; first < n_threads; first += WARP) {
            unsigned end = first + WARP < n_threads ? first + WARP : n_threads;
            do moved |= run_those_who_can(first, end);
            while (release(first, end, WAITS_FOR_WARP));
        }
        bool have_ended = true;
        for (unsigned thread = 0; thread < n_threads; thread++) have_ended &= turns[thread] == HAS_ENDED;
        if (have_ended) return true;
        moved |= release(0, n_threads, WAITS_FOR_BLOCK);
        if (!moved)
            return fprintf(stderr, "stand-in: threads of %s wait for each other\n", kernel->name.c_str()), false;
    }
}

EXPORTED cuLaunchKernel(Opaque function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, Opaque stream, void **given, void **) {
    std::lock_guard<std::recursive_mutex> hold(guard);
    kernel = static_cast<Kernel *>((Owned *)function);
    launches_by_kernel[kernel->name]++;
    if (Result result = counted(LAUNCH, card_of(stream))) return result;
    if (Result result = on_its_card("a kernel", kernel->card)) return result;
    if (Result result = on_its_card("a stream", card_of(stream))) return result;
    n_threads = bx * by * bz;
    bool fits = n_threads && n_threads <= MOST_THREADS && gx && gy && gz && gy < 65536 && gz < 65536;
    if (!fits)
        return fprintf(stderr, "stand-in: %s: a grid of %u %u %u, blocks of %u %u %u\n", kernel->name.c_str(), gx, gy,
                       gz, bx, by, bz),
               BAD_VALUE;
    if (is_idle()) return FINE;
    if (shared > kernel->shared_bytes) return BAD_VALUE;
    if (!stacks)
        stacks = (char *)mmap(nullptr, (size_t)MOST_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    arguments = given;
    *kernel->meeting = {meet_block, meet_warp, slot, lanes};
    kernel->place->block_size = {bx, by, bz};
    kernel->place->grid = {gx, gy, gz};
    for (unsigned z = 0; z < gz; z++)
        for (unsigned y = 0; y < gy; y++)
            for (unsigned x = 0; x < gx; x++) {
                kernel->place->block = {x, y, z};
                // Shared memory holds what a former block has left.
                memset(kernel->shared, 0xff, shared);
                if (!kernel->meets) kernel->block(given);
                else if (!run_block_that_meets()) return cards[current()].broken = LAUNCH_FAILED;
            }
    return FINE;
}
