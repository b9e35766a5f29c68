/* A stand-in for NVIDIA's libnvidia-ml.so.1. What it answers is read anew at each nvmlInit from the text file that
 * MLINFN_TEST_NVML names, a line for each fact:
 *
 *     init CODE                                        what nvmlInit returns
 *     shutdown CODE                                    what nvmlShutdown returns
 *     card CODE MINOR MIG BYTES UUID NAME              MIG is -1 (cannot), 0 (off) or 1 (on)
 *     slice CODE NUMBER GI CI BYTES UUID NAME          a MIG slice of the card above
 *
 * CODE is what asking for the handle returns: 0 for a device that works, 15 for NVML_ERROR_GPU_IS_LOST.
 * No header is included, so that a compiler without libc6-dev will do; libc is there, because Python has loaded it.
 */
typedef unsigned long long bytes_t;
typedef struct { bytes_t total, free, used; } memory_t;
typedef struct { int code, minor, mig, number, gi, ci, card; bytes_t memory; char uuid[96], name[96]; } device_t;

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, DRIVER_NOT_LOADED = 9,
       GPU_IS_LOST = 15, UNKNOWN = 999, MOST = 64, MOST_SLICES = 7 };

extern void *fopen(const char *, const char *);
extern char *fgets(char *, int, void *);
extern int fclose(void *);
extern int sscanf(const char *, const char *, ...);
extern char *getenv(const char *);
extern char *strcpy(char *, const char *);

static device_t devices[MOST];
static int count, init_code, shutdown_code, is_ready;

static void take(const char *line)
{
    device_t *it = &devices[count];
    sscanf(line, "init %d", &init_code);
    sscanf(line, "shutdown %d", &shutdown_code);
    if (count == MOST)
        return;
    if (sscanf(line, "card %d %d %d %llu %95s %95[^\n]",
               &it->code, &it->minor, &it->mig, &it->memory, it->uuid, it->name) == 6) {
        it->card = -1;
        count++;
    } else if (sscanf(line, "slice %d %d %d %d %llu %95s %95[^\n]",
                      &it->code, &it->number, &it->gi, &it->ci, &it->memory, it->uuid, it->name) == 7) {
        for (it->card = count - 1; devices[it->card].card >= 0; it->card--)
            ;
        count++;
    }
}

int nvmlInitWithFlags(unsigned flags)
{
    char line[512], *path = getenv("MLINFN_TEST_NVML");
    void *file = path ? fopen(path, "r") : 0;
    (void)flags;
    count = init_code = shutdown_code = is_ready = 0;
    if (!file)
        return DRIVER_NOT_LOADED;
    while (fgets(line, sizeof line, file))
        take(line);
    fclose(file);
    is_ready = init_code == OK;
    return init_code;
}

int nvmlShutdown(void)
{
    if (!is_ready)
        return UNINITIALIZED;
    is_ready = 0;
    return shutdown_code;
}

const char *nvmlErrorString(int code)
{
    return code == DRIVER_NOT_LOADED ? "Driver Not Loaded" : code == GPU_IS_LOST ? "GPU is lost" : "Unknown Error";
}

int nvmlDeviceGetCount_v2(unsigned *found)
{
    int at;
    if (!is_ready)
        return UNINITIALIZED;
    for (*found = at = 0; at < count; at++)
        *found += devices[at].card < 0;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t **handle)
{
    int at;
    for (at = 0; at < count; at++)
        if (devices[at].card < 0 && index-- == 0) {
            *handle = &devices[at];
            return devices[at].code;
        }
    return INVALID_ARGUMENT;
}

int nvmlDeviceGetMinorNumber(device_t *it, unsigned *minor)
{
    *minor = it->minor;
    return it->card < 0 ? OK : INVALID_ARGUMENT;
}

int nvmlDeviceGetUUID(device_t *it, char *text, unsigned size)
{
    (void)size;
    strcpy(text, it->uuid);
    return OK;
}

int nvmlDeviceGetName(device_t *it, char *text, unsigned size)
{
    (void)size;
    strcpy(text, it->name);
    return OK;
}

int nvmlDeviceGetMemoryInfo(device_t *it, memory_t *memory)
{
    memory->total = memory->free = it->memory;
    memory->used = 0;
    return OK;
}

int nvmlDeviceGetMigMode(device_t *it, unsigned *current, unsigned *pending)
{
    *current = *pending = it->mig;
    return it->mig < 0 ? NOT_SUPPORTED : OK;
}

int nvmlDeviceGetMaxMigDeviceCount(device_t *it, unsigned *most)
{
    *most = it->mig < 0 ? 0 : MOST_SLICES;
    return OK;
}

int nvmlDeviceGetMigDeviceHandleByIndex(device_t *card, unsigned number, device_t **handle)
{
    int at;
    for (at = 0; at < count; at++)
        if (devices[at].card >= 0 && &devices[devices[at].card] == card && devices[at].number == (int)number) {
            *handle = &devices[at];
            return devices[at].code;
        }
    return NOT_FOUND;
}

int nvmlDeviceGetGpuInstanceId(device_t *it, unsigned *id)
{
    *id = it->gi;
    return it->card < 0 ? NOT_FOUND : OK;
}

int nvmlDeviceGetComputeInstanceId(device_t *it, unsigned *id)
{
    *id = it->ci;
    return it->card < 0 ? NOT_FOUND : OK;
}
