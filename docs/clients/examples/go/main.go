// Calls a Trunkline router over gRPC: `hello WHAT [MODEL]`, where WHAT is a function below.
// TRUNKLINE_GRPC is the router's host:port, TRUNKLINE_KEY the key, and TRUNKLINE_CA, when the
// router speaks TLS, a PEM file with the authority to trust.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	inference "example.com/hello/gen/trunkline/inference/v1"
)

// Every call gets a deadline; the router keeps it, too, streams included.
const patience = 60 * time.Second

func connect(address, ca string) (*grpc.ClientConn, error) {
	security := insecure.NewCredentials()
	if ca != "" {
		tls, err := credentials.NewClientTLSFromFile(ca, "")
		if err != nil {
			return nil, err
		}
		security = tls
	}
	return grpc.NewClient(address, grpc.WithTransportCredentials(security))
}

func withKey(ctx context.Context, key string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
}

func ask(model string) *inference.ChatRequest {
	temperature := 0.5
	return &inference.ChatRequest{
		Model:       model,
		Temperature: &temperature,
		Messages: []*inference.Message{{
			Role: inference.Role_ROLE_USER,
			Body: &inference.Message_Content{Content: "one two three"},
		}},
	}
}

func chat(ctx context.Context, client inference.InferenceServiceClient, model string) error {
	answer, err := client.Chat(ctx, ask(model))
	if err != nil {
		return err
	}
	usage := answer.GetUsage()
	fmt.Println(answer.GetChoices()[0].GetMessage().GetContent())
	fmt.Printf("%d tokens, %s USD, recorded as %s\n",
		usage.GetTotalTokens(), usage.GetCost(), answer.GetGenerationId())
	return nil
}

func stream(ctx context.Context, client inference.InferenceServiceClient, model string) error {
	events, err := client.ChatStream(ctx, &inference.ChatStreamRequest{Chat: ask(model)})
	if err != nil {
		return err
	}
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			break // the answer is complete
		}
		if err != nil {
			return err // it broke off: what was printed is not the whole answer
		}
		for _, choice := range event.GetChoices() {
			fmt.Print(choice.GetDelta().GetContent())
		}
	}
	fmt.Println()
	return nil
}

func embed(ctx context.Context, client inference.InferenceServiceClient, model string) error {
	texts := []string{"red", "blue"}
	answer, err := client.Embed(ctx, &inference.EmbedRequest{Model: model, Input: texts})
	if err != nil {
		return err
	}
	for _, vector := range answer.GetEmbeddings() {
		fmt.Printf("%s: %d numbers\n", texts[vector.GetIndex()], len(vector.GetValues()))
	}
	return nil
}

func models(ctx context.Context, client inference.InferenceServiceClient, _ string) error {
	answer, err := client.ListModels(ctx, &inference.ListModelsRequest{})
	if err != nil {
		return err
	}
	for _, model := range answer.GetModels() {
		fmt.Println(model.GetId())
	}
	return nil
}

func refused(ctx context.Context, client inference.InferenceServiceClient, _ string) error {
	nonsense := ask("no/such-model")
	_, err := client.Chat(ctx, nonsense)
	explain(err)
	none := uint32(0)
	nonsense.N = &none
	_, err = client.Chat(ctx, nonsense)
	explain(err)
	return nil
}

// Prints what programs can read of an error: its kind, the fields at fault, when to try again.
func explain(err error) {
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			fmt.Println(detail.GetReason())
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				fmt.Printf("%s: %s\n", violation.GetField(), violation.GetDescription())
			}
		case *errdetails.RetryInfo:
			fmt.Println("again in", detail.GetRetryDelay().AsDuration())
		}
	}
}

func deadline(ctx context.Context, client inference.InferenceServiceClient, model string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := stream(ctx, client, model)
	if status.Code(err) == codes.DeadlineExceeded {
		fmt.Println("\nno time left")
		return nil
	}
	return err
}

func cancel(ctx context.Context, client inference.InferenceServiceClient, model string) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	events, err := client.ChatStream(ctx, &inference.ChatStreamRequest{Chat: ask(model)})
	if err != nil {
		return err
	}
	if _, err = events.Recv(); err != nil {
		return err
	}
	leave() // the router cancels the call at the provider
	for err == nil {
		_, err = events.Recv()
	}
	if status.Code(err) == codes.Canceled {
		fmt.Println("left")
		return nil
	}
	return err
}

func main() {
	functions := map[string]func(context.Context, inference.InferenceServiceClient, string) error{
		"chat": chat, "stream": stream, "embed": embed, "models": models,
		"refused": refused, "deadline": deadline, "cancel": cancel,
	}
	if len(os.Args) < 2 || functions[os.Args[1]] == nil {
		log.Fatal("usage: hello chat|stream|embed|models|refused|deadline|cancel [MODEL]")
	}
	model := "sim/chat"
	if len(os.Args) > 2 {
		model = os.Args[2]
	}
	connection, err := connect(setting("TRUNKLINE_GRPC", "127.0.0.1:8080"), os.Getenv("TRUNKLINE_CA"))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	ctx = withKey(ctx, setting("TRUNKLINE_KEY", "dev"))
	client := inference.NewInferenceServiceClient(connection)
	if err := functions[os.Args[1]](ctx, client, model); err != nil {
		log.Fatal(err)
	}
}

func setting(name, usual string) string {
	if value, set := os.LookupEnv(name); set {
		return value
	}
	return usual
}
