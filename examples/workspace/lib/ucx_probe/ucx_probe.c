/* Proves that a UCX works and not only that it is there: prints the version of the library it runs
 * with, opens a context and a worker over shared memory and loopback, and sends itself a message. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ucp/api/ucp.h>
#include <ucs/type/status.h>
#include <uct/api/uct.h>

static const char message[] = "through UCX and back";

static void check(ucs_status_t status, const char *what)
{
    if (status != UCS_OK) {
        fprintf(stderr, "ucx_probe: %s: %s\n", what, ucs_status_string(status));
        exit(EXIT_FAILURE);
    }
}

static unsigned count_components(void)
{
    uct_component_h *components;
    unsigned count;

    check(uct_query_components(&components, &count), "uct_query_components");
    uct_release_component_list(components);
    return count;
}

static ucp_context_h open_context(void)
{
    ucp_params_t params = {
        .field_mask = UCP_PARAM_FIELD_FEATURES,
        .features   = UCP_FEATURE_TAG,
    };
    ucp_config_t *config;
    ucp_context_h context;

    check(ucp_config_read(NULL, NULL, &config), "ucp_config_read");
    /* A machine with a fabric must give the same answer as one without. */
    check(ucp_config_modify(config, "TLS", "self,sm"), "ucp_config_modify");
    check(ucp_init(&params, config, &context), "ucp_init");
    ucp_config_release(config);
    return context;
}

static ucp_ep_h connect_to_self(ucp_worker_h worker)
{
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS};
    ucp_address_t *address;
    size_t length;
    ucp_ep_h endpoint;

    check(ucp_worker_get_address(worker, &address, &length), "ucp_worker_get_address");
    params.address = address;
    check(ucp_ep_create(worker, &params, &endpoint), "ucp_ep_create");
    ucp_worker_release_address(worker, address);
    return endpoint;
}

static void finish(ucp_worker_h worker, ucs_status_ptr_t request, const char *what)
{
    ucs_status_t status = UCS_PTR_STATUS(request);

    if (UCS_PTR_IS_PTR(request)) {
        while ((status = ucp_request_check_status(request)) == UCS_INPROGRESS) {
            ucp_worker_progress(worker);
        }
        ucp_request_free(request);
    }
    check(status, what);
}

static void send_to_self(ucp_worker_h worker)
{
    const ucp_tag_t tag               = 0x09;
    const ucp_request_param_t plain   = {0};
    char received[sizeof(message)]    = "";
    ucp_ep_h endpoint                 = connect_to_self(worker);
    ucs_status_ptr_t receiving        = ucp_tag_recv_nbx(worker, received, sizeof(received), tag,
                                                         UINT64_MAX, &plain);
    ucs_status_ptr_t sending          = ucp_tag_send_nbx(endpoint, message, sizeof(message), tag,
                                                         &plain);

    finish(worker, sending, "ucp_tag_send_nbx");
    finish(worker, receiving, "ucp_tag_recv_nbx");
    finish(worker, ucp_ep_close_nbx(endpoint, &plain), "ucp_ep_close_nbx");
    if (memcmp(received, message, sizeof(message)) != 0) {
        fprintf(stderr, "ucx_probe: the message came back changed\n");
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    const ucp_worker_params_t params = {
        .field_mask  = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
        .thread_mode = UCS_THREAD_MODE_SINGLE,
    };
    unsigned major, minor, release;
    ucp_context_h context;
    ucp_worker_h worker;

    ucp_get_version(&major, &minor, &release);
    printf("library %u.%u.%u\n", major, minor, release);
    printf("headers %ld.%ld\n", (long)UCP_API_MAJOR, (long)UCP_API_MINOR);
    printf("components %u\n", count_components());

    context = open_context();
    check(ucp_worker_create(context, &params, &worker), "ucp_worker_create");
    send_to_self(worker);
    printf("loopback %zu bytes\n", sizeof(message));

    ucp_worker_destroy(worker);
    ucp_cleanup(context);
    return EXIT_SUCCESS;
}
