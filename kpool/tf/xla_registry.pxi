# The part of XLA that kpool uses: the registry of custom calls, and the status that one returns.
#
# Both are C++ that TensorFlow exports, looked up when this module is imported. A string is laid out here as libstdc++
# has it. Where a function is missing or a status has another layout, XLA cannot call kpool.

cdef extern from *:
    """
    #include <dlfcn.h>
    #include <stdbool.h>
    #include <string.h>

    /* libstdc++'s std::string, and XLA's status: a std::optional<std::string>, with a message where a call failed. */
    typedef struct { char* text; size_t size; union { char local[16]; size_t capacity; }; } kp_string;
    typedef struct { kp_string message; bool failed; } kp_status;
    /* std::optional<std::string_view> */
    typedef struct { size_t size; const char* text; bool failed; } kp_message;
    typedef void (*kp_target)(void*, const void**, const char*, size_t, kp_status*);

    static struct {
        void* (*registry)(void);
        void (*add)(void*, const kp_string*, kp_target, const kp_string*);
        kp_message (*message)(const kp_status*);
        void* (*allocate)(size_t);
    } kp_xla;

    static void kp_fail(kp_status* status, const char* message) {
        size_t size = strlen(message);
        /* Of the allocator that XLA frees it with, and longer than what a string holds by itself. */
        size_t capacity = size < 32 ? 32 : size;
        status->message.text = (char*) memcpy(kp_xla.allocate(capacity + 1), message, size + 1);
        status->message.size = size;
        status->message.capacity = capacity;
        status->failed = true;
    }

    /* Whether XLA's own function finds in a status what was written to it. The message stays allocated. */
    static bool kp_layout_is_known(void) {
        union { kp_status status; char room[256]; } trial;
        kp_message message;
        memset(&trial, 0, sizeof(trial));
        if (kp_xla.message(&trial.status).failed) return false;
        kp_fail(&trial.status, "A message that is longer than a string holds by itself.");
        message = kp_xla.message(&trial.status);
        return message.failed && message.text == trial.status.message.text
            && message.size == trial.status.message.size;
    }

    static bool kp_find_xla(void) {
    #if defined(__linux__)
        #define KP_STRING "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
        void* library = dlopen("libtensorflow_cc.so.2", RTLD_LAZY | RTLD_NOLOAD);
        if (!library) return false;
        *(void**) &kp_xla.registry = dlsym(library, "_ZN3xla24CustomCallTargetRegistry6GlobalEv");
        *(void**) &kp_xla.add = dlsym(
            library, "_ZN3xla24CustomCallTargetRegistry8RegisterERK" KP_STRING "PvS8_");
        *(void**) &kp_xla.message = dlsym(
            library, "_ZN3xla26CustomCallStatusGetMessageEPK20XlaCustomCallStatus_");
        *(void**) &kp_xla.allocate = dlsym(library, "_Znwm");
        return kp_xla.registry && kp_xla.add && kp_xla.message && kp_xla.allocate && kp_layout_is_known();
    #else
        return false;
    #endif
    }

    static void kp_add_target(const char* name, kp_target target) {
        kp_string key = {(char*) name, strlen(name)}, platform = {(char*) "Host", 4};
        kp_xla.add(kp_xla.registry(), &key, target, &platform);
    }
    """
    ctypedef struct XlaStatus "kp_status":
        pass
    ctypedef void (*Target "kp_target")(void*, const void**, const char*, size_t, XlaStatus*) noexcept nogil
    bint find_xla "kp_find_xla" ()
    void add_target "kp_add_target" (const char* name, Target target)
    void fail_program "kp_fail" (XlaStatus* status, const char* message) noexcept nogil
